"""Lookups: shared, bounded, and begun only while somebody waits.

The host's resolver is replaced where its answers must be slow, false or counted.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_address

import pytest

from moat.egress.upstream.resolver import MAX_RUNNING, Resolver, UnresolvedError


class SlowNames:
    """A `getaddrinfo` that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def __call__(self, host: bytes, *_: object, **__: object) -> list[object]:
        self.asked.append(host.decode())
        self._loop.call_soon_threadsafe(self._changed.set)
        assert self.go_on.wait(120)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

    async def until_asked(self, count: int) -> None:
        while len(self.asked) < count:
            self._changed.clear()
            await self._changed.wait()


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> SlowNames:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return names


async def test_localhost_is_found_by_the_hosts_own_resolver() -> None:
    """The real getaddrinfo, with the host's file of hosts."""
    assert ip_address("127.0.0.1") in await Resolver().resolve("localhost")


async def test_a_name_without_an_address_says_why() -> None:
    """RFC 6761 promises that nothing is ever called invalid; the text is the resolver's."""
    with pytest.raises(UnresolvedError, match=r"^[a-z -]+$"):
        await Resolver().resolve("nothing.invalid")


async def test_each_address_comes_once_and_keeps_its_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of a link is of no use without the link's name."""
    texts = ["fe80::1%lo", "192.0.2.1", "192.0.2.1"]

    def answer(*_: object, **__: object) -> list[object]:
        return [(0, 0, 0, "", (text, 0)) for text in texts]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    found = await Resolver().resolve("printer.local")
    assert [str(each) for each in found] == ["fe80::1%lo", "192.0.2.1"]


async def test_askers_share_a_lookup(slow: SlowNames) -> None:
    """A burst of connections to one host needs one lookup."""
    resolver = Resolver()
    asking = [asyncio.create_task(resolver.resolve("one.test")) for _ in range(50)]
    await slow.until_asked(1)
    slow.go_on.set()
    found = await asyncio.gather(*asking)
    assert slow.asked == ["one.test"]
    assert set(found) == {(ip_address("192.0.2.1"),)}


async def test_the_next_asker_has_a_lookup_of_its_own(slow: SlowNames) -> None:
    """Answers are not cached: only the name servers know how long they hold."""
    resolver = Resolver()
    slow.go_on.set()
    await resolver.resolve("one.test")
    await resolver.resolve("one.test")
    assert slow.asked == ["one.test"] * 2


async def test_few_are_looked_up_at_once_and_the_rest_in_their_order(slow: SlowNames) -> None:
    """Threads and the host's name server are shared with everybody."""
    resolver = Resolver()
    names = [f"{number}.test" for number in range(3 * MAX_RUNNING)]
    asking = [asyncio.create_task(resolver.resolve(name)) for name in names]
    await slow.until_asked(MAX_RUNNING)
    assert sorted(slow.asked) == sorted(names[:MAX_RUNNING])
    slow.go_on.set()
    await asyncio.gather(*asking)
    assert sorted(slow.asked) == sorted(names)


async def test_what_nobody_waits_for_is_not_begun(slow: SlowNames) -> None:
    """A flood of lookups that nobody waits for any more delays no later one."""
    resolver = Resolver()
    flood = [asyncio.create_task(resolver.resolve(f"{n}.test")) for n in range(10 * MAX_RUNNING)]
    await slow.until_asked(MAX_RUNNING)
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    honest = asyncio.create_task(resolver.resolve("honest.test"))
    slow.go_on.set()
    await honest
    assert len(slow.asked) == MAX_RUNNING + 1


async def test_a_lookup_that_was_left_alone_serves_the_next_asker(slow: SlowNames) -> None:
    """A running lookup can't be stopped, and a second one would only add to it."""
    resolver = Resolver()
    left = asyncio.create_task(resolver.resolve("one.test"))
    await slow.until_asked(1)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    again = asyncio.create_task(resolver.resolve("one.test"))
    slow.go_on.set()
    await again
    assert slow.asked == ["one.test"]


async def test_a_machine_out_of_threads_is_an_error_of_the_lookup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user's limit of processes was reached; the run goes on when there is room again."""

    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        with pytest.raises(UnresolvedError, match="can't start new thread"):
            await resolver.resolve("localhost")
    await resolver.resolve("localhost")


def test_an_answer_after_the_loops_end_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that ends waits for no name server."""
    go_on = threading.Event()
    begun = threading.Event()
    threads: list[threading.Thread] = []

    def late(*_: object, **__: object) -> list[object]:
        threads.append(threading.current_thread())
        begun.set()
        assert go_on.wait(120)
        return []

    async def give_up() -> None:
        asking = asyncio.create_task(Resolver().resolve("late.test"))
        await asyncio.to_thread(begun.wait, 30)
        asking.cancel()

    monkeypatch.setattr(socket, "getaddrinfo", late)
    asyncio.run(give_up())
    go_on.set()
    threads[0].join(30)
    assert threads[0].daemon

"""Accepting while there is room."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from moat.egress.ingress import accept_loop
from moat.egress.ingress.accept_loop import AcceptLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 120.0


class Door:
    """An accept loop with one listener, and what it has accepted."""

    def __init__(self, room: int = 100) -> None:
        loop = asyncio.get_running_loop()
        self.room = room
        self.again: float | None = None
        self.full = asyncio.Event()
        """There was no room for one."""
        self.open = ExitStack()
        self.accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
        self.loop = AcceptLoop(loop, self._has_room, self._take, lambda: self.again)
        self.listeners = [socket.create_server(("127.0.0.1", 0))]
        self.place = self.listeners[0].getsockname()
        self.loop.add(self.listeners[0])
        self.open.callback(self.loop.close)

    def _has_room(self) -> bool:
        if not self.room:
            self.full.set()
        return self.room > 0

    def _take(self, sock: socket.socket, listener: socket.socket) -> None:
        assert listener in self.listeners
        self.room -= 1
        self.accepted.put_nowait(self.open.enter_context(sock))

    def visit(self, listener: socket.socket | None = None) -> None:
        place = self.place if listener is None else listener.getsockname()
        self.open.enter_context(socket.create_connection(place, TIMEOUT_S))

    async def is_full(self) -> None:
        await asyncio.wait_for(self.full.wait(), TIMEOUT_S)

    async def next(self) -> socket.socket:
        return await asyncio.wait_for(self.accepted.get(), TIMEOUT_S)


@pytest.fixture
async def door() -> Door:
    return Door()


@pytest.fixture(autouse=True)
def closed(door: Door) -> Iterator[None]:
    yield
    door.open.close()


async def test_what_comes_is_accepted(door: Door) -> None:
    """Ready for asyncio, and without Nagle's delay."""
    door.visit()
    sock = await door.next()
    assert not sock.getblocking()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_without_room_connections_wait_until_there_is(door: Door) -> None:
    """Nothing is lost: the kernel keeps them."""
    door.room = 1
    for _ in range(3):
        door.visit()
    await door.next()
    await door.is_full()
    assert door.accepted.empty()
    door.room = 2
    door.loop.resume()
    await door.next()
    await door.next()


async def test_a_listener_that_is_added_meanwhile_waits_as_well(door: Door) -> None:
    """It begins with the others."""
    door.room = 0
    door.visit()
    await door.is_full()
    other = socket.create_server(("127.0.0.1", 0))
    door.loop.add(other)
    door.listeners.append(other)
    door.visit(other)
    await asyncio.sleep(0)
    assert door.accepted.empty()
    door.room = 2
    door.loop.resume()
    await door.next()
    await door.next()


async def test_room_that_comes_by_itself_is_noticed(door: Door) -> None:
    """At the time that was told."""
    door.room, door.again = 0, 0.0
    door.visit()
    await door.is_full()
    door.room = 1
    await door.next()


async def test_without_descriptors_it_is_tried_again(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody tells when there are some again."""
    monkeypatch.setattr(accept_loop, "RETRY_S", 0.01)

    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    door.loop._accept(Full())  # type: ignore[arg-type]  a listener of a process without descriptors
    door.visit()
    await door.next()
    assert "new connections wait" in caplog.text


async def test_after_its_end_nothing_is_accepted(door: Door) -> None:
    """And nothing listens."""
    door.loop.close()
    with pytest.raises(ConnectionRefusedError):
        door.visit()
    door.loop.resume()

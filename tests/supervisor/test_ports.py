"""The published ports of a supervised run: opened, kept, recorded, closed."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from moat.errors import MoatError
from moat.events import PolicyAmended
from moat.platform import socket_owner
from moat.ports import router_place
from moat.ports.relay import Visitor
from moat.runs import lock
from moat.spec import Network, PublishedPort
from moat.supervisor import teardown
from moat.supervisor.ports import RunPorts
from moat.supervisor.repeats import MAX_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisor.conftest import Machine, Run

WEB = PublishedPort(name="web", port=3000)
TIMEOUT_S = 120.0


@pytest.fixture(autouse=True)
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor whose run has ended does not wait for clients that no test has."""
    monkeypatch.setattr(teardown, "LINGER_S", 0)
    monkeypatch.setattr(teardown, "FAILURE_LINGER_S", 0)


@pytest.fixture
def server(machine: Machine) -> Iterator[socket.socket]:
    """A server in the sandbox, on port 3000, that greets whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        machine.sandbox.servers[3000] = sock.getsockname()[1]
        yield sock


def published(run: Run) -> list[dict[str, Any]]:
    return list(run.store.get(run.spec.id).ports)


def events(run: Run, kind: str) -> list[dict[str, Any]]:
    return [each for each in run.events if each["event"] == kind]


async def greeting(run: Run, server: socket.socket) -> bytes:
    """What a visitor of the first port gets of the server."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TIMEOUT_S):
        with socket.socket() as visitor:
            visitor.setblocking(False)
            await loop.sock_connect(visitor, ("127.0.0.1", published(run)[0]["host_port"]))
            inner, _ = await loop.sock_accept(server)
            with inner:
                await loop.sock_sendall(inner, b"hello")
            return await loop.sock_recv(visitor, 100)


async def turned_away(run: Run) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TIMEOUT_S):
        with socket.socket() as visitor:
            visitor.setblocking(False)
            await loop.sock_connect(visitor, ("127.0.0.1", published(run)[0]["host_port"]))
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(visitor, 100)


async def test_a_port_is_open_recorded_and_told(machine: Machine, server: socket.socket) -> None:
    """Its URL is in the run's row and in the command's variables, and each visit is an event."""
    async with machine.supervised(ports=(WEB,)) as run:
        (known,) = published(run)
        assert known | {"host_port": 0, "url": ""} == {
            "name": "web",
            "port": 3000,
            "address": "127.0.0.1",
            "host_port": 0,
            "url": "",
        }
        assert run.sandbox.variables == {"MOAT_URL_WEB": known["url"]}
        assert (await run.ask("GET", "/v1/run"))["ports"] == [known]
        assert await greeting(run, server) == b"hello"
        (opened,) = events(run, "port_published")
        assert opened["host_port"] == known["host_port"]
        (visit,) = events(run, "port_connected")
        assert (visit["name"], visit["address"], visit["error"]) == ("web", "127.0.0.1", "")


async def test_a_named_port_is_told_by_its_host_name_where_a_router_lives(machine: Machine) -> None:
    """One without a name, by its place."""
    held = router_place.lock_file(machine.store.home)
    held.parent.mkdir(parents=True)
    with lock.locked(held) as fd:
        os.write(fd, b"8080\n")
        plain = PublishedPort(name="4000", port=4000)
        async with machine.supervised(ports=(WEB, plain)) as run:
            assert run.sandbox.variables == {
                "MOAT_URL_WEB": f"http://web.{run.spec.name}.localhost:8080",
                "MOAT_URL_4000": published(run)[1]["url"],
            }


async def test_the_next_supervisor_has_the_same_port(
    machine: Machine, server: socket.socket
) -> None:
    """A connection that came while there was none is served by it."""
    async with machine.supervised(ports=(WEB,)) as run:
        before = published(run)
    with socket.create_connection(("127.0.0.1", before[0]["host_port"])) as early:
        async with machine.supervised() as run:
            assert published(run) == before
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(TIMEOUT_S):
                inner, _ = await loop.sock_accept(server)
                with inner:
                    await loop.sock_sendall(inner, b"late")
                early.setblocking(False)
                assert await loop.sock_recv(early, 100) == b"late"
            assert len(events(run, "port_published")) == 1


async def test_a_run_that_has_ended_has_no_port(machine: Machine, server: socket.socket) -> None:
    """Nobody is told of it any more, and nothing listens there, though the supervisor lives on."""
    del server
    async with machine.supervised(ports=(WEB,)) as run:
        (known,) = published(run)
        run.sandbox.exit(0)
        await run.over()
        assert published(run) == []
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", known["host_port"]))


async def test_a_port_that_is_taken_fails_the_start(machine: Machine) -> None:
    """The error is the start's, and what was opened before is closed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ports = (WEB, PublishedPort(name="api", port=4000, host_port=number))
        async with machine.listening(ports=ports) as run:
            await run.supervisor.begin()
            await run.over()
            assert run.supervisor.failure is not None
            assert f"port {number} is taken" in run.supervisor.failure.summary
            assert run.state == "failed"
            assert run.sandbox.programs == {}
            assert run.sandbox.kept == {}


async def test_a_port_that_the_router_has_is_told_apart(machine: Machine) -> None:
    """It is Moat's own, and the user may move it."""
    held = router_place.lock_file(machine.store.home)
    held.parent.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as router, lock.locked(held) as fd:
        number = router.getsockname()[1]
        os.write(fd, f"{number}\n".encode())
        ports = (PublishedPort(name="3000", port=3000, host_port=number),)
        async with machine.listening(ports=ports) as run:
            await run.supervisor.begin()
            await run.over()
            assert run.supervisor.failure is not None
            assert f"port {number} is taken: Moat's router" in run.supervisor.failure.summary
            assert "moat router stop" in (run.supervisor.failure.hint or "")


async def test_a_port_that_the_policy_captures_fails_the_start(machine: Machine) -> None:
    """What comes in there would be at the proxy."""
    network = Network(rules=("allow api.test:3000",))
    async with machine.listening(ports=(WEB,), network=network) as run:
        await run.supervisor.begin()
        await run.over()
        assert run.supervisor.failure is not None
        assert "leads to Moat's proxy" in run.supervisor.failure.summary


async def test_a_port_that_a_rule_opens_later_lets_nobody_in(
    machine: Machine, server: socket.socket
) -> None:
    """It is the proxy's from then on, and the refusal is an event."""
    async with machine.supervised(ports=(WEB,)) as run:
        assert await greeting(run, server) == b"hello"
        await run.ask("POST", "/v1/policy", verdict="allow", rule="api.test:3000")
        await turned_away(run)
        (denied,) = events(run, "denied")
        assert (denied["scheme"], denied["rule"]) == ("port", "web")
        assert "leads to the proxy now" in denied["reason"]


async def test_a_port_without_a_server(machine: Machine) -> None:
    """Nobody listens inside: the visit is recorded with the reason."""
    async with machine.supervised(ports=(WEB,)) as run:
        await turned_away(run)
        (visit,) = events(run, "port_connected")
        assert visit["error"] == "nothing listens there in the sandbox"


async def test_nobody_comes_in_while_nothing_can_be_recorded(
    machine: Machine, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nothing goes out."""
    del server
    async with machine.supervised(ports=(WEB,)) as run:
        monkeypatch.setattr(
            type(run.supervisor.audit), "problem", "nothing passes: the disk is full"
        )
        await turned_away(run)
        monkeypatch.undo()


async def test_a_kernel_that_tells_of_no_owner(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a port can't be its user's alone, so the run doesn't start; the hint has a way out."""
    monkeypatch.setattr(socket_owner, "owner", lambda _sock: None)
    async with machine.listening(ports=(WEB,)) as run:
        await run.supervisor.begin()
        await run.over()
        failure = run.supervisor.failure
        assert failure is not None
        assert "can't tell who connects" in failure.summary
        assert failure.hint is not None
        assert "-p web=localhost:3000" in failure.hint


async def test_many_visits_are_few_events(machine: Machine) -> None:
    """A program that connects without end fills no log."""
    async with machine.supervised(ports=(WEB,)) as run:
        ports = run.supervisor.ports
        assert isinstance(ports, RunPorts)
        for number in range(10 * MAX_COUNTED):
            ports.connected(WEB, Visitor(f"192.0.2.{number % 200}", None), "")
        ports.close()
        counts = [each["count"] for each in events(run, "port_connected")]
        assert sum(counts) == 10 * MAX_COUNTED
        assert len(counts) <= 2 * MAX_COUNTED + 1


async def test_a_sandbox_that_is_gone_is_an_error_of_the_connection(machine: Machine) -> None:
    """And not of the supervisor."""
    async with machine.supervised(ports=(WEB,)) as run:
        ports = run.supervisor.ports
        assert ports is not None
        run.sandbox.refuses = MoatError("unforeseen")
        with pytest.raises(ConnectionRefusedError):
            await ports.dial("::1", 1)
        run.sandbox.refuses = None
        ports(0.0, PolicyAmended("allow", "a.test", 0, peer=None))  # type: ignore[arg-type]
        assert len(published(run)) == 1

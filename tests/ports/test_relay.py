"""Connections from outside to a hostile server: joined, counted, bounded."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from moat.ports import relay
from moat.ports.relay import Relay, Visitor
from moat.spec.port import PublishedPort
from moat.supervisor.tasks import BackgroundTasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WEB = PublishedPort(name="web", port=3000)
OPEN = PublishedPort(name="open", port=3000, address="127.0.0.1")
TIMEOUT_S = 120.0


class Sandbox:
    """A server of this machine in the place of one in a sandbox, and a record in memory."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.listens = True
        self.reason = ""
        self.reason_after_connecting = ""
        self.connections: list[tuple[str, str]] = []
        self.refusals: list[str] = []
        self.happened = asyncio.Event()

    async def dial(self, address: str, port: int, /) -> int:
        assert port == 3000
        if not self.listens or address != "127.0.0.1":
            raise ConnectionRefusedError
        self.reason = self.reason or self.reason_after_connecting
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.server.getsockname())
        return sock.detach()

    def refusal(self, port: int, /) -> str:
        assert port == 3000
        return self.reason

    def connected(self, port: PublishedPort, visitor: Visitor, problem: str, /) -> None:
        assert visitor.address == "127.0.0.1"
        self.connections.append((port.name, problem))
        self.happened.set()

    def refused(self, port: PublishedPort, visitor: Visitor, why: str, /) -> None:
        del port, visitor
        self.refusals.append(why)
        self.happened.set()


class End:
    """One end of a connection, in this process."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self, size: int = 1 << 20) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.get_running_loop().sock_recv(self.sock, size)

    async def rest(self) -> bytes:
        data = b""
        while more := await self.receive():
            data += more
        return data

    def finish(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    async def is_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            await self.receive()


class Served:
    """A relay with one port, its sandbox, and the way to both ends."""

    def __init__(self, made: Relay, sandbox: Sandbox, place: tuple[str, int]) -> None:
        self.relay = made
        self.sandbox = sandbox
        self.ends = ExitStack()
        self._place = place

    async def visit(self) -> End:
        sock = self.ends.enter_context(socket.socket())
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self._place)
        return End(sock)

    async def inside(self) -> End:
        """The server's end of the next connection."""
        async with asyncio.timeout(TIMEOUT_S):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sandbox.server)
        return End(self.ends.enter_context(sock))

    async def pair(self) -> tuple[End, End]:
        return await self.visit(), await self.inside()

    async def turned_away(self) -> None:
        """A visit that ends in a reset, with nothing said."""
        await (await self.visit()).is_reset()


@asynccontextmanager
async def serving(port: PublishedPort = WEB, backlog: int = 100) -> AsyncIterator[Served]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        server.setblocking(False)
        async with BackgroundTasks() as tasks:
            sandbox = Sandbox(server)
            made = Relay(loop, tasks.start, sandbox, sandbox)
            listener = socket.create_server(("127.0.0.1", 0))
            served = Served(made, sandbox, listener.getsockname())
            made.serve(port, [listener])
            with served.ends:
                yield served
            made.close()
            await asyncio.sleep(0)  # what was broken off is closed in the loop's next turn


async def test_bytes_pass_both_ways_until_both_sides_are_done() -> None:
    """Each side may end before the other: what the other still says arrives."""
    async with serving() as served:
        outer, inner = await served.pair()
        await outer.send(b"question")
        outer.finish()
        assert await inner.rest() == b"question"
        answer = b"answer" * 100_000
        _, got = await asyncio.gather(said(inner, answer), outer.rest())
        assert got == answer
        assert served.sandbox.connections == [("web", "")]


async def said(end: End, data: bytes) -> None:
    await end.send(data)
    end.finish()


async def test_a_server_that_does_not_listen() -> None:
    """The visitor is turned away, and the record says why."""
    async with serving() as served:
        served.sandbox.listens = False
        await served.turned_away()
        assert served.sandbox.connections == [("web", "nothing listens there in the sandbox")]


async def test_a_server_that_accepts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds a visitor for so long and no longer."""
    monkeypatch.setattr(relay, "CONNECT_S", 0.05)
    async with serving(backlog=0) as served:
        with socket.create_connection(served.sandbox.server.getsockname()):  # its backlog is full
            await served.turned_away()
        assert "accepted nothing for" in served.sandbox.connections[0][1]


async def test_a_refusal_before_and_while_connecting() -> None:
    """No byte reaches a port that has become the proxy's meanwhile."""
    async with serving() as served:
        served.sandbox.reason_after_connecting = "it leads to the proxy now"
        await served.turned_away()
        await served.turned_away()
        assert served.sandbox.refusals == ["it leads to the proxy now"] * 2
        assert served.sandbox.connections == []


@pytest.mark.parametrize(
    ("uid", "why"),
    [(12345, "it is of another user (uid 12345)"), (None, "it left before it was known")],
)
async def test_the_loopback_is_for_the_runs_user(
    uid: int | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are turned away, and so is who can't be told; an address that was named serves all."""
    monkeypatch.setattr(relay.socket_owner, "owner", lambda _sock: uid)
    async with serving() as served:
        await served.turned_away()
        assert served.sandbox.refusals[0].startswith(why)
    async with serving(OPEN) as served:
        await served.pair()
        assert served.sandbox.refusals == []


async def test_root_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could come as the user anyway."""
    monkeypatch.setattr(relay.socket_owner, "owner", lambda _sock: 0)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    async with serving() as served:
        await served.pair()
        assert served.sandbox.refusals == []


async def test_an_error_of_one_connection_is_no_other_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next one is served."""
    failures = [OSError("unforeseen"), ValueError("unforeseen")]

    def owner(_sock: socket.socket) -> int:
        if failures:
            raise failures.pop()
        return 0

    monkeypatch.setattr(relay.socket_owner, "owner", owner)
    async with serving() as served:
        await served.turned_away()
        await served.turned_away()
        await served.pair()
        assert "ValueError: unforeseen" in caplog.text


async def test_a_full_relay_lets_the_next_one_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is served as soon as one of those before it has left."""
    monkeypatch.setattr(relay, "MAX_CONNECTIONS", 2)
    async with serving() as served:
        (first, inner), _ = [await served.pair() for _ in range(2)]
        third = await served.visit()
        await third.send(b"third")
        assert len(served.sandbox.connections) == 2
        first.sock.close()
        inner.sock.close()
        assert await (await served.inside()).receive() == b"third"


async def test_a_quiet_connection_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never ends its connections keeps nobody out."""
    monkeypatch.setattr(relay, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(relay, "IDLE_S", 0.05)
    async with serving() as served:
        (first, _), _ = [await served.pair() for _ in range(2)]
        outer, inner = await served.pair()
        await inner.send(b"served")
        assert await outer.receive() == b"served"
        await first.is_reset()


async def test_a_flood_waits_where_it_is_not_read() -> None:
    """A server that sends without end to a visitor that doesn't read fills bounded buffers."""
    async with serving() as served:
        _, inner = await served.pair()
        sent, quiet = 0, asyncio.Event()
        loop = asyncio.get_running_loop()

        def flood() -> None:
            nonlocal sent
            try:
                sent += inner.sock.send(bytes(1 << 20))
            except BlockingIOError:
                quiet.set()

        loop.add_writer(inner.sock, flood)
        while sent < 256 << 20:
            quiet.clear()
            try:
                await asyncio.wait_for(quiet.wait(), 0.5)
            except TimeoutError:
                break  # nothing was writable for so long
        loop.remove_writer(inner.sock)
        assert sent < 256 << 20


async def test_a_closed_relay_breaks_everything_off() -> None:
    """A run that has ended leaves no connection, and nothing listens."""
    async with serving() as served:
        outer, inner = await served.pair()
        served.relay.close()
        await outer.is_reset()
        await inner.is_reset()
        with pytest.raises(ConnectionRefusedError):
            await served.visit()

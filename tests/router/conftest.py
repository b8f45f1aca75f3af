"""A router in this process, before servers that stand for those of runs."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import uvloop

from moat.router.directory import Directory
from moat.router.server import RouterServer
from moat.runs import lock
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec
from moat.supervisor.tasks import BackgroundTasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

TIMEOUT_S = 120.0


class Runs:
    """A store whose runs have ports, and locks that say that they are supervised."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._open = ExitStack()
        self.store = self._open.enter_context(Store(home))
        (home / "router").mkdir()

    def add(self, name: str, **ports: int) -> str:
        """A run with ports by name, at these ports of the host; its id."""
        number = len(self.store.all()) + 1
        spec = RunSpec(
            id=RunId(f"{number:012x}"),
            name=name,
            command=("serve",),
            workspace="/",
            created_at=f"2026-01-01T00:00:{number:02}.000Z",
        )
        self.store.create(spec)
        held = lock.try_lock(self.store.folder(spec.id).supervisor_lock)
        assert held is not None
        self._open.callback(os.close, held)
        self.update(
            spec.id,
            state=State.RUNNING,
            ports=tuple(
                {"name": port, "port": 3000, "address": "127.0.0.1", "host_port": at, "url": ""}
                for port, at in ports.items()
            ),
        )
        return spec.id

    def update(self, run_id: str, **columns: object) -> None:
        self.store.update(run_id, **columns)

    def close(self) -> None:
        self._open.close()


class Visit:
    """A connection to the router, of one who says which bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(
        self, host: str, path: str = "/", *more: str, method: str = "GET", body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and body of the answer to one request."""
        self.send(host, path, *more, method=method, body=body)
        return await self.answer(with_body=method != "HEAD")

    def send(
        self, host: str, path: str = "/", *more: str, method: str = "GET", body: bytes = b""
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *more]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode() + body)

    async def answer(self, *, with_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        status, fields = await self.head()
        size = int(fields.get("content-length", "0")) if with_body else 0
        return status, fields, await self.read(size)

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(TIMEOUT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in fields.items()}

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            return await self._reader.read()


class Router:
    """A router that serves a store, and the way to it."""

    def __init__(self, runs: Runs, port: int) -> None:
        self.runs = runs
        self.port = port
        self._open: list[asyncio.StreamWriter] = []

    def host(self, name: str) -> str:
        return f"{name}:{self.port}"

    async def visit(self, **options: object) -> Visit:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)  # type: ignore[arg-type]  options of TLS
        self._open.append(writer)
        return Visit(reader, writer)

    async def close(self) -> None:
        for each in self._open:
            each.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path / "home")
    yield made
    made.close()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop on which the router runs, too."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def routing(runs: Runs) -> Callable[[], object]:
    """`async with routing() as router`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Router]:
        loop = asyncio.get_running_loop()
        with Directory(runs.home) as directory:
            async with BackgroundTasks() as tasks:
                server = RouterServer(runs.home, directory, loop, tasks.start)
                listener = socket.create_server(("127.0.0.1", 0))
                router = Router(runs, listener.getsockname()[1])
                server.serve([listener])
                try:
                    yield router
                finally:
                    await router.close()
                    server.close()

    return opened

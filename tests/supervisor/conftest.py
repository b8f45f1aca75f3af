"""A supervisor in this process, with a sandbox in memory."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.memory_engine import Sandbox

from moat.platform import sockets
from moat.runs.event_reader import EventReader
from moat.runs.store import Store
from moat.spec import RunId, RunSpec
from moat.supervisor import attached
from moat.supervisor.api import serve
from moat.supervisor.attached import AttachedClient
from moat.supervisor.run import Supervisor
from moat.supervisor.run_commands import RunCommands
from moat.supervisor.tasks import BackgroundTasks
from moat.wire import frames, http
from moat.wire.frames import FrameReader, FrameType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

TIMEOUT_S = 120


@dataclass
class Peer:
    """A client of a supervisor, at the other end of an attached connection."""

    sock: socket.socket
    reader: FrameReader = field(default_factory=FrameReader)
    received: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])

    def send(self, kind: FrameType, payload: bytes = b"") -> None:
        self.sock.send(frames.encode(kind, payload))

    def hello(self, *, fds: tuple[int, ...] = (), **fields: Any) -> None:
        payload = json.dumps(fields).encode()
        socket.send_fds(self.sock, [frames.encode(FrameType.HELLO, payload)], fds)

    async def frame(self, kind: FrameType) -> bytes:
        """Return the payload of the next frame of this kind; those before it are dropped."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                while self.received:
                    got, payload = self.received.pop(0)
                    if got == kind:
                        return payload
                assert await self._receive(), "hung up"

    async def next_frame(self) -> tuple[int, bytes]:
        """Return the next frame of any kind."""
        async with asyncio.timeout(TIMEOUT_S):
            while not self.received:
                assert await self._receive(), "hung up"
        return self.received.pop(0)

    async def output(self, expected: bytes, kind: FrameType = FrameType.STDOUT) -> bytes:
        """Return the output up to and with what is expected."""
        data = b""
        while expected not in data:
            data += await self.frame(kind)
        return data

    async def handled(self) -> None:
        """Wait until the supervisor has handled all that was sent: it answers in order."""
        self.send(FrameType.PAUSE)
        await self.frame(FrameType.PAUSED)
        self.send(FrameType.RESUME)

    async def hung_up(self) -> bool:
        async with asyncio.timeout(TIMEOUT_S):
            while await self._receive():
                pass
        return True

    async def _receive(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        self.received += self.reader.feed(data)
        return bool(data)


@dataclass
class Run:
    """One run: its store, its sandbox, and a supervisor at a time."""

    store: Store
    spec: RunSpec
    sandbox: Sandbox
    supervisor: Supervisor
    peers: list[Peer] = field(default_factory=list[Peer])

    @property
    def state(self) -> str:
        return str(self.store.get(self.spec.id).state)

    @property
    def events(self) -> list[dict[str, Any]]:
        return EventReader(self.store.folder(self.spec.id).events).read()

    @property
    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await self.supervisor.changes.until(reached)

    async def turn(self) -> None:
        """Let the loop handle what it has been sent."""
        for _ in range(2):  # what is readable is called behind what was ready before
            await asyncio.sleep(0)

    async def over(self) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await self.supervisor.teardown.over.wait()

    def attach(self, **hello: Any) -> Peer:
        """A client that says hello."""
        peer = self.connect()
        peer.hello(**hello)
        return peer

    def connect(self) -> Peer:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        AttachedClient(self.supervisor, theirs, RunCommands(self.supervisor))
        self.peers.append(Peer(ours))
        return self.peers[-1]

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the supervisor's socket."""
        folder = self.store.folder(self.spec.id)
        sock = sockets.connect(folder.root, folder.SUPERVISOR_SOCKET)
        return await asyncio.open_unix_connection(sock=sock)

    async def ask(self, method: str, target: str, **body: Any) -> dict[str, Any]:
        """The answer of the API; a refusal is returned like any other."""
        return json.loads(await self.ask_for_text(method, target, **body))

    async def ask_for_text(self, method: str, target: str, **body: Any) -> str:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await self.open()
            writer.write(http.encode_request(method, target, json.dumps(body).encode()))
            head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head
            return answer.decode()


async def _close_logs(supervisors: Sequence[Supervisor]) -> None:
    for each in supervisors:
        await each.audit.close(complete=each.teardown.complete)


class Machine:
    """Makes a run, and one supervisor after the other for it."""

    def __init__(self, store: Store, project: Path) -> None:
        self.store = store
        self.sandbox = Sandbox()
        self.project = project
        self._spec: RunSpec | None = None

    def create(self, **fields: Any) -> RunSpec:
        self._spec = RunSpec(
            **{
                "id": RunId("0123456789ab"),
                "name": "tested",
                "command": ("program",),
                "workspace": str(self.project),
                "created_at": "2026-01-01T00:00:00Z",
                **fields,
            }
        )
        self.store.create(self._spec)
        return self._spec

    @asynccontextmanager
    async def supervised(self, **fields: Any) -> AsyncIterator[Run]:
        """A supervisor that has begun; it leaves at the end, as at SIGTERM."""
        async with self.listening(**fields) as run:
            await run.supervisor.begin()
            yield run

    @asynccontextmanager
    async def listening(self, **fields: Any) -> AsyncIterator[Run]:
        """A supervisor that has not begun, but takes connections already."""
        spec = self._spec or self.create(**fields)
        folder = self.store.folder(spec.id)
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(sockets.listen(folder.root, folder.SUPERVISOR_SOCKET))
            made: list[Supervisor] = []
            # As `supervisor.main` does, behind all tasks.
            stack.push_async_callback(_close_logs, made)
            tasks = await stack.enter_async_context(BackgroundTasks())
            supervisor = Supervisor(self.store, spec, tasks, self.sandbox.make)
            made.append(supervisor)
            stack.callback(supervisor.leave)
            server = await serve(supervisor, listener)
            stack.callback(server.close)
            run = Run(self.store, spec, self.sandbox, supervisor)
            stack.callback(lambda: [peer.sock.close() for peer in run.peers])
            yield run


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends has its log signed: the key of a test is no matter for a developer's keyring."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null/bus")


@pytest.fixture(autouse=True)
def _patient_supervisors(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a test draws as late as a terminal that hangs."""
    monkeypatch.setattr(attached, "DRAW_S", 120.0)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    project = tmp_path / "project"
    project.mkdir()
    with Store(tmp_path / "home") as store:
        machine = Machine(store, project)
        yield machine
        for sock in (*machine.sandbox.services.values(), *machine.sandbox.kept.values()):
            sock.close()

"""An engine without processes: a sandbox in memory, whose commands do what a test says."""

from __future__ import annotations

import errno
import signal
import socket
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests.scripted_io import ScriptedIO

from moat.engines.engine import (
    CommandRefusedError,
    EngineEvents,
    Execution,
    SandboxGoneError,
    SessionState,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from moat.errors import MoatError
    from moat.paths import RunFolder
    from moat.session.io import ProgramIO
    from moat.spec import RunSpec

MAIN = "main"


@dataclass
class Program:
    """A command in the sandbox."""

    io: ScriptedIO
    tty: bool
    pid: int | None = None
    exit_code: int | None = None
    signals: list[int] = field(default_factory=list[int])

    @property
    def state(self) -> SessionState:
        return SessionState(self.pid, self.tty, self.exit_code)


class Sandbox:
    """What outlives supervisors: programs, and the engine that is connected now."""

    def __init__(self) -> None:
        self.exists = False
        self.programs: dict[str, Program] = {}
        self.engine: MemoryEngine | None = None
        self.kept_exit: int | None = None
        """The exit code that is found when the sandbox is gone."""
        self.variables: dict[str, str] = {}
        """The secrets and URLs that the main command was started with."""
        self.servers: dict[int, int] = {}
        """The ports of this machine that stand for servers in the sandbox, by their ports there."""
        self.kept: dict[str, socket.socket] = {}
        """The sockets that it keeps for supervisors, by name."""
        self.services: dict[str, socket.socket] = {}
        """The listening sockets that it keeps, by name."""
        self.refuses: MoatError | None = None
        """The error of the next call."""
        self.obeys_stop = True
        """The main command ends when it is asked to."""
        self.begins = True
        """Commands begin at once; else the test says when."""

    def make(
        self,
        spec: RunSpec,
        folder: RunFolder,
        loop: asyncio.AbstractEventLoop,
        events: EngineEvents,
    ) -> MemoryEngine:
        """Return an engine of this sandbox, as `engines.registry.make` does."""
        del folder, loop
        self.engine = MemoryEngine(self, spec, events)
        return self.engine

    @property
    def io(self) -> ScriptedIO:
        """The main command's input and output."""
        return self.programs[MAIN].io

    def begin(self, session: str = MAIN) -> None:
        """Let a command begin."""
        program = self.programs[session]
        program.pid = 1000 + len(self.programs)
        self._events.command_started(session, program.pid)

    def exit(self, code: int, session: str = MAIN) -> None:
        """Let a command end."""
        program = self.programs[session]
        program.exit_code = code
        if session == MAIN:
            self.kept_exit = code
        if self.engine is not None:
            self._events.command_exited(session, code)

    def fail(self, reason: str, session: str = MAIN) -> None:
        """Let a command never begin."""
        del self.programs[session]
        self._events.command_failed(session, reason)

    def vanish(self, kept_exit: int | None = None) -> None:
        """Let the sandbox be killed."""
        self.exists = False
        self.kept_exit = kept_exit
        self._events.sandbox_lost()

    @property
    def _events(self) -> EngineEvents:
        assert self.engine is not None
        return self.engine.events


class MemoryEngine:
    """Implements `engines.engine.Engine`."""

    def __init__(self, sandbox: Sandbox, spec: RunSpec, events: EngineEvents) -> None:
        self._sandbox = sandbox
        self._spec = spec
        self.events = events
        self.released = False

    @property
    def data(self) -> dict[str, Any]:
        return {"memory": {"exists": self._sandbox.exists}}

    async def connect(self, *, create: bool) -> dict[str, SessionState] | None:
        self._raise_refusal()
        self._sandbox.exists = self._sandbox.exists or create
        if not self._sandbox.exists:
            return None
        return {name: program.state for name, program in self._sandbox.programs.items()}

    async def start(
        self, authority: bytes, variables: Mapping[str, str] = MappingProxyType({})
    ) -> ProgramIO:
        self._sandbox.variables = dict(variables)
        assert authority.startswith(b"-----BEGIN CERTIFICATE-----")
        return self._add(MAIN, tty=self._spec.tty)

    async def execute(self, session: str, execution: Execution) -> ProgramIO:
        return self._add(session, tty=execution.tty)

    def _add(self, session: str, *, tty: bool) -> ProgramIO:
        self._raise_refusal()
        program = self._sandbox.programs[session] = Program(ScriptedIO(tty=tty), tty)
        if self._sandbox.begins:
            self._sandbox.begin(session)
        return program.io

    async def streams(self, session: str) -> ProgramIO:
        # As descriptors do, the program's end survives the last session's.
        program = self._program(session)
        program.io.closed = False
        return program.io

    async def signal(self, session: str, number: int) -> None:
        program = self._program(session)
        if program.exit_code is not None:
            raise CommandRefusedError("no such process")
        program.signals.append(number)
        if number == signal.SIGTERM and session == MAIN and self._sandbox.obeys_stop:
            self._sandbox.exit(128 + number)

    async def kill(self, session: str) -> None:
        self._program(session)
        self._sandbox.exit(128 + signal.SIGKILL, session)

    async def forget(self, session: str) -> None:
        self._program(session)
        del self._sandbox.programs[session]

    async def listen(self, family: str, kind: str, address: str, port: int) -> int:
        del family, address, port
        return _bound(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)

    async def blocked(self) -> int:
        return _bound(socket.SOCK_DGRAM)

    async def dial(self, address: str, port: int) -> int:
        if port not in self._sandbox.servers or address != "127.0.0.1":
            raise CommandRefusedError("connection refused", errno.ECONNREFUSED)
        sock = socket.create_connection((address, self._sandbox.servers[port]))
        sock.setblocking(False)
        return sock.detach()

    async def keep(self, name: str, sock: socket.socket | None = None) -> int | None:
        if name not in self._sandbox.kept and sock is not None:
            self._sandbox.kept[name] = sock.dup()
        return self._sandbox.kept[name].dup().detach() if name in self._sandbox.kept else None

    async def keep_service(self, name: str) -> int:
        if name not in self._sandbox.services:
            sock = self._sandbox.services[name] = socket.socket(socket.AF_UNIX)
            sock.bind("")  # an abstract name that the kernel chooses
            sock.listen()
        return self._sandbox.services[name].dup().detach()

    async def recorded_exit(self) -> int | None:
        return self._sandbox.kept_exit

    async def release(self) -> None:
        self.released = True
        for sock in self._sandbox.kept.values():
            sock.close()
        self._sandbox.kept.clear()
        if not self._sandbox.exists:
            raise SandboxGoneError("the sandbox is gone")
        self._sandbox.exists = False

    def close(self) -> None:
        self._sandbox.engine = None

    def _program(self, session: str) -> Program:
        self._raise_refusal()
        if not self._sandbox.exists:
            raise SandboxGoneError("the sandbox is gone")
        if session not in self._sandbox.programs:
            raise CommandRefusedError(f"there is no session {session}")
        return self._sandbox.programs[session]

    def _raise_refusal(self) -> None:
        refusal, self._sandbox.refuses = self._sandbox.refuses, None
        if refusal is not None:
            raise refusal


def _bound(kind: int) -> int:
    """Return a socket of this machine's, which stands for one inside a sandbox."""
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock.detach()

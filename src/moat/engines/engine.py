"""The interface between a supervisor and whatever makes its sandbox.

An engine belongs to one run. It makes the sandbox, starts commands in it, finds both again for the
next supervisor, and gives access to the sandbox's network from inside. It knows nothing of screens,
viewers, policies or the record: those are the supervisor's other parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from moat.errors import EngineError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from moat.session.io import ProgramIO
    from moat.spec import TerminalSize


class SandboxGoneError(EngineError):
    """The sandbox does not exist any more, and nothing in it runs."""

    code = "sandbox_gone"


class CommandRefusedError(EngineError):
    """The engine could not do what it was asked to; `errno` says why where the kernel did."""

    code = "command_refused"

    def __init__(self, summary: str, errno: int | None = None) -> None:
        super().__init__(summary)
        self.errno = errno


class UnsupportedSandboxError(EngineError):
    """Another version of Moat made the sandbox, and this one can't speak to it.

    The run must be left alone: it goes on, and a version that can will adopt it.
    """

    code = "unsupported_sandbox"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an engine needs of this machine, as `moat doctor` shows it."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None
    """A remedy that is up to the administrator of the machine."""
    warnings: tuple[str, ...] = ()
    """Things that work and aren't as they could be."""

    @property
    def status(self) -> str:
        """Return `ok`, `warning` or `error`."""
        if not self.ok:
            return "error"
        return "warning" if self.warnings else "ok"


@dataclass(frozen=True, slots=True)
class SessionState:
    """An engine's memory of a session, from one supervisor to the next."""

    pid: int | None
    """The command's process id on this machine; `None` until it begins."""
    tty: bool
    exit_code: int | None
    """Exit code like a shell's, 128 + n for a signal; `None` while the command runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A further command for a running sandbox."""

    command: tuple[str, ...]
    env: dict[str, str]
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Variables that the run's own command has too, and of which nothing is kept: secrets, and URLs."""
    workdir: str
    tty: bool
    stdin: bool
    size: TerminalSize


class EngineEvents(Protocol):
    """The supervisor, as its engine reports to it."""

    def command_started(self, session: str, pid: int) -> None:
        """The session's command has begun."""
        ...

    def command_exited(self, session: str, exit_code: int) -> None:
        """The session's command has ended, and nothing it started writes any more."""
        ...

    def memory_used_up(self, session: str) -> None:
        """The kernel has killed the session's command for its memory; `command_exited` follows."""
        ...

    def command_failed(self, session: str, reason: str) -> None:
        """The session's command never began."""
        ...

    def sandbox_lost(self) -> None:
        """The sandbox is gone, and the engine with it."""
        ...


class Engine(Protocol):
    """One run's sandbox.

    Call `connect` first; then `start` where it found no session, or `streams` for each that it
    found. Calls raise `SandboxGoneError` when the sandbox is gone, and `CommandRefusedError` when
    it refuses.
    """

    @property
    def data(self) -> dict[str, Any]:
        """Facts about the sandbox as JSON, for `moat inspect` and for commands without a supervisor."""
        ...

    async def connect(self, *, create: bool) -> dict[str, SessionState] | None:
        """Find the sandbox and return its sessions by name; `None` where it is gone.

        With `create`, a sandbox without sessions is made where there is none. Raises
        `UnsupportedSandboxError`.
        """
        ...

    async def start(
        self, authority: bytes, variables: Mapping[str, str] = MappingProxyType({})
    ) -> ProgramIO:
        """Start the run's command. `command_started` or `command_failed` follows.

        `authority` is the certificate, in PEM, that programs in the sandbox are to trust,
        `variables` are further ones of the command, of which nothing is kept.
        """
        ...

    async def execute(self, session: str, execution: Execution) -> ProgramIO:
        """Start a further command. `command_started` or `command_failed` follows."""
        ...

    async def streams(self, session: str) -> ProgramIO:
        """Return the input and output of a session that exists."""
        ...

    async def signal(self, session: str, number: int) -> None:
        """Send the session's command a signal."""
        ...

    async def kill(self, session: str) -> None:
        """End the session's command, and all else in the sandbox where it is the main one."""
        ...

    async def forget(self, session: str) -> None:
        """Release what the engine holds for a session that has ended and was drained."""
        ...

    async def listen(self, family: str, kind: str, address: str, port: int) -> int:
        """Return a socket that listens inside the sandbox's network and outlives this supervisor."""
        ...

    async def blocked(self) -> int:
        """Return a packet socket that receives what the sandbox's network has refused."""
        ...

    async def dial(self, address: str, port: int) -> int:
        """Return a socket that connects to a server inside the sandbox; it may still be connecting."""
        ...

    async def keep(self, name: str, sock: socket.socket | None = None) -> int | None:
        """Return the socket of a name, which outlives this supervisor; `None` where there is none.

        Where there is none yet, `sock` is it from now on.
        """
        ...

    async def keep_service(self, name: str) -> int:
        """Return a unix socket that listens in the sandbox and outlives this supervisor.

        Commands of the sandbox find it at `spec.grants.SERVICES`/`name`. It must exist before `start`.
        """
        ...

    async def recorded_exit(self) -> int | None:
        """Return the exit code of the run's command where the engine has kept it."""
        ...

    async def release(self) -> None:
        """Remove the sandbox, whose commands have ended and whose output has been read."""
        ...

    def close(self) -> None:
        """Disconnect; the sandbox goes on."""
        ...

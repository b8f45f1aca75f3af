"""The supervisor's end of its conversation with the shim; `moat.shim.server` is the other.

`moat.shim.protocol` describes the messages. A link that breaks means that the shim is dead, and the
sandbox with it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from moat.engines.engine import (
    CommandRefusedError,
    SandboxGoneError,
    SessionState,
    UnsupportedSandboxError,
)
from moat.platform import sockets
from moat.platform.process import Process
from moat.shim import protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from moat.paths import RunFolder

Answer = tuple[dict[str, Any], list[int]]

log = logging.getLogger(__name__)

SOCKET: Final = "shim.sock"
"""The name of the shim's socket in the run's folder."""
# A shim answers at once, unless somebody has stopped it.
_CHECK_S: Final = 5.0
_MAIN_FILE: Final = Path(__file__).parents[2] / "shim" / "__main__.py"


@dataclass(frozen=True, slots=True)
class Hello:
    """A shim's introduction."""

    version: int
    """The newest version of the protocol that it speaks."""
    oldest: int
    pid: int
    sessions: dict[str, SessionState]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read an answer to `hello` of any version."""
        version: int = answer["version"]
        sessions: Mapping[str, Mapping[str, Any]] = answer["sessions"]
        states = {
            name: SessionState(state["pid"], state["tty"], state["exit_code"])
            for name, state in sessions.items()
        }
        return cls(version, answer.get("oldest", version), answer["pid"], states)

    @property
    def replaceable(self) -> bool:
        """Tell whether the shim is of another version and has nothing to lose."""
        return self.version != protocol.VERSION and not self.sessions

    def check_version(self) -> None:
        """Raise `UnsupportedSandboxError` unless shim and supervisor have a version in common."""
        if self.version >= protocol.OLDEST and self.oldest <= protocol.VERSION:
            return
        newer = self.oldest > protocol.VERSION
        spoken_by_shim = _range(self.oldest, self.version)
        spoken_here = _range(protocol.OLDEST, protocol.VERSION)
        raise UnsupportedSandboxError(
            f"this run was started by {'a newer' if newer else 'an older'} Moat"
            f" (shim protocol {spoken_by_shim}; this version speaks {spoken_here})",
            f"{'Update Moat' if newer else 'Use that Moat'}, or wait until the run ends",
        )


def _versions() -> dict[str, int]:
    return {"version": protocol.VERSION, "oldest": protocol.OLDEST}


def _encode(do: str, fields: Mapping[str, object]) -> bytes:
    return json.dumps({"do": do, **fields}).encode()


def _range(oldest: int, newest: int) -> str:
    return str(newest) if oldest == newest else f"{oldest} to {newest}"


class ShimLink:
    """A connection to a living shim."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_event: Callable[[dict[str, Any]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._on_event = on_event
        self._on_lost = on_lost
        self._waiting: deque[asyncio.Future[Answer] | None] = deque()
        """The calls without an answer yet, in order; `None` where nobody waits for it."""
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    async def hello(self) -> Hello:
        """Agree with the shim on a version; the link is closed if there is none.

        Raises `UnsupportedSandboxError`, and `CommandRefusedError` if the shim has no namespaces.
        """
        answer, _ = await self.call("hello", (), **_versions())
        hello = Hello.of(answer)
        try:
            hello.check_version()
        except UnsupportedSandboxError:
            self.close()
            raise
        return hello

    async def call(self, do: str, fds: Sequence[int] = (), **fields: object) -> Answer:
        """Return the answer to a command and its descriptors, which are the caller's now.

        Raises `CommandRefusedError`, or `SandboxGoneError` when the shim died meanwhile.
        """
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._send(do, fds, fields)
        self._waiting.append(answer)
        message, received = await answer
        if "error" in message:
            raise CommandRefusedError(message["error"], message.get("errno"))
        return message, received

    def post(self, do: str, **fields: object) -> None:
        """Send a command whose answer makes no difference."""
        try:
            self._send(do, (), fields)
        except SandboxGoneError as exc:
            log.info("%s: %s", do, exc.summary)
        else:
            self._waiting.append(None)

    def _send(self, do: str, fds: Sequence[int], fields: dict[str, object]) -> None:
        try:
            socket.send_fds(self._sock, [_encode(do, fields)], fds)
        except OSError as exc:
            raise SandboxGoneError(f"the run's shim is gone: {exc}") from exc

    def close(self) -> None:
        if self._sock.fileno() != -1:
            self._loop.remove_reader(self._sock)
            self._sock.close()
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting is not None and not waiting.done():
                waiting.set_exception(SandboxGoneError("the run's shim is gone"))

    def _readable(self) -> None:
        try:
            data, fds = sockets.receive(self._sock, protocol.MAX_MESSAGE, protocol.MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            self.close()
            self._on_lost()
            return
        message = json.loads(data)
        if message.get("answer"):
            self._answered(message, fds)
        else:
            self._on_event(message)

    def _answered(self, message: dict[str, Any], fds: list[int]) -> None:
        waiting = self._waiting.popleft()
        if waiting is not None and not waiting.cancelled():
            waiting.set_result((message, fds))
            return
        for fd in fds:
            os.close(fd)
        if "error" in message:
            log.info("the shim refused: %s", message["error"])


def find(folder: RunFolder) -> socket.socket | None:
    """Connect to the run's shim; return `None` if it is dead.

    The listening socket was made before the shim and dies with it, so a refusal is certain.
    """
    try:
        return sockets.connect(folder.root, SOCKET, socket.SOCK_SEQPACKET)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def lives(folder: RunFolder) -> bool:
    """Return whether the run's shim lives, and with it the sandbox."""
    sock = find(folder)
    if sock is not None:
        sock.close()
    return sock is not None


def check_version(folder: RunFolder) -> None:
    """Raise `UnsupportedSandboxError` if the run's shim lives and has no version in common with us."""
    sock = find(folder)
    if sock is None:
        return
    with sock:
        sock.settimeout(_CHECK_S)
        try:
            sock.send(_encode("hello", _versions()))
            message = json.loads(sock.recv(protocol.MAX_MESSAGE))
            while not message.get("answer"):
                message = json.loads(sock.recv(protocol.MAX_MESSAGE))
        except (OSError, ValueError):
            return  # it has died, or is silent: whoever connects next deals with that
    if "error" not in message:
        Hello.of(message).check_version()


def ensure(folder: RunFolder) -> None:
    """Start the run's shim unless it lives."""
    if not lives(folder):
        spawn(folder)


def spawn(folder: RunFolder, container: tuple[int, int] | None = None) -> None:
    """Start a shim for the run; if one lives, it can't be found any more.

    `container` is a pidfd of the init of the run's container, and what that lives by.
    """
    inherited = container or ()
    # The socket listens already when the shim inherits it: from the first moment a connection waits
    # for the shim, and nobody needs to ask whether it is up yet.
    with sockets.listen(folder.root, SOCKET, socket.SOCK_SEQPACKET) as listener:
        # The listener is the last: the shim closes what is numbered above it.
        parked = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (*inherited, listener)]
        numbers = [str(3 + place) for place in range(len(parked))]
        os.posix_spawn(
            sys.executable,
            [
                *(sys.executable, "-I", "-S", str(_MAIN_FILE)),
                *(numbers[-1], str(folder.exits), *numbers[:-1]),
            ],
            {"PATH": os.defpath},
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, 3 + at) for at, fd in enumerate(parked)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT),
        )
        for fd in parked:
            os.close(fd)


def kill(data: Mapping[str, Any], folder: RunFolder) -> None:
    """Kill the shim that `data` names, and with it the sandbox; return when it is gone."""
    pid = data.get("shim", {}).get("pid")
    if pid is None:
        return
    try:
        with Process(pid) as shim:
            # The pid of a shim that died long ago may be another process's.
            if os.fsencode(folder.exits) in shim.arguments():
                with ExitStack() as sandboxes:
                    dying = [sandboxes.enter_context(each) for each in shim.descendants()]
                    shim.kill()
                    for each in dying:
                        each.wait()
    except ProcessLookupError:
        return

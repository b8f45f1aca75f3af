"""The supervisor's end of its conversation with the shim (`moat.shim.main` is the other).

Commands are answered in order. Events ("started", "exited", "failed") may come at any time. The link
breaking means that the shim is dead, and with it the sandbox.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat.errors import EngineError
from moat.paths import RunFolder
from moat.platform import sockets

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

Answer = tuple[dict[str, Any], list[int]]

_MAX_MESSAGE: Final = 192 * 1024
_MAX_DESCRIPTORS: Final = 250
_MAIN_FILE: Final = Path(__file__).parents[2] / "shim" / "__main__.py"


class ShimGoneError(EngineError):
    """The shim is dead, so its sandbox is, too."""

    code = "shim_gone"


class ShimRefusedError(EngineError):
    """The shim could not do what it was told; `errno` says why where the kernel did."""

    code = "shim_refused"

    def __init__(self, summary: str, errno: int | None) -> None:
        super().__init__(summary)
        self.errno = errno


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
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    async def call(self, do: str, fds: Sequence[int] = (), **fields: object) -> Answer:
        """The answer and the descriptors that came with it, which are the caller's now.

        Raises `ShimRefusedError`, or `ShimGoneError` when the shim died meanwhile.
        """
        answer: asyncio.Future[Answer] = self._loop.create_future()
        try:
            socket.send_fds(self._sock, [json.dumps({"do": do, **fields}).encode()], fds)
        except OSError as exc:
            raise ShimGoneError(f"the run's shim is gone: {exc}") from exc
        self._waiting.append(answer)
        message, received = await answer
        if "error" in message:
            raise ShimRefusedError(message["error"], message.get("errno"))
        return message, received

    def close(self) -> None:
        if self._sock.fileno() != -1:
            self._loop.remove_reader(self._sock)
            self._sock.close()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(ShimGoneError("the run's shim is gone"))

    def _readable(self) -> None:
        try:
            data, fds = sockets.receive(self._sock, _MAX_MESSAGE, _MAX_DESCRIPTORS)
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
        if waiting.cancelled():
            for fd in fds:
                os.close(fd)
        else:
            waiting.set_result((message, fds))


def find(folder: RunFolder) -> socket.socket | None:
    """A connection to the run's shim; `None` where none lives.

    The listening socket was made before the shim and dies with it, so a refusal is certain.
    """
    try:
        return sockets.connect(folder.root, RunFolder.SHIM_SOCKET, socket.SOCK_SEQPACKET)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def lives(folder: RunFolder) -> bool:
    """Whether the run's shim lives, and with it the sandbox."""
    sock = find(folder)
    if sock is not None:
        sock.close()
    return sock is not None


def ensure(folder: RunFolder) -> None:
    """Starts the run's shim unless it lives."""
    if not lives(folder):
        _spawn(folder)


def _spawn(folder: RunFolder) -> None:
    # The socket is bound and listens here and is inherited: from the first moment a connection to
    # it waits for the shim, and nobody needs to ask whether it is up yet.
    with sockets.listen(folder.root, RunFolder.SHIM_SOCKET, socket.SOCK_SEQPACKET) as listener:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", str(_MAIN_FILE), "3", str(folder.exits)],
            {"PATH": os.defpath},
            file_actions=[(os.POSIX_SPAWN_DUP2, listener.fileno(), 3)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT),
        )

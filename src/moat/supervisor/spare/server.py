"""The life of a spare, from its first request to its last."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.platform import sockets
from moat.wire import spare
from moat.wire.spare import Request

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from moat.platform.inotify import FolderWatch
    from moat.supervisor.spare.files import LoadedFiles

# After so long without a start there is no use in keeping the memory.
IDLE_S: Final = 600.0
# A client sends its request with the connection; one that doesn't must not keep the others.
_PATIENCE_S: Final = 2.0


class Birth(NamedTuple):
    """The supervisor that a child of the spare has to become."""

    request: Request
    client: socket.socket
    """The connection that the request came over."""

    def receive(self) -> list[int]:
        """Tell the client, and receive the descriptors that it passes on: `spare.DESCRIPTORS`.

        Return none where the client has given up meanwhile, and has started a process instead.
        """
        with self.client as sock:
            try:
                sock.settimeout(None)  # it ends when the client does
                sock.send(spare.FORKED)
                message, descriptors = sockets.receive(
                    sock, len(spare.PASSED), len(spare.DESCRIPTORS)
                )
            except OSError:
                return []
        return descriptors if message == spare.PASSED else []


class Service:
    """A spare's socket, and what it serves."""

    def __init__(
        self, listener: socket.socket, path: Path, identity: str, files: LoadedFiles
    ) -> None:
        self._listener = listener
        self._path = path
        self._identity = identity
        self._files = files
        self._is_current = True

    def serve(self, changes: FolderWatch) -> Birth | None:
        """Fork a process for each request; return its birth in the child.

        Return `None` in the spare itself, when nobody needs it, its socket is gone, or a file that it
        has loaded is another now. `changes` are those of the socket's folder.
        """
        while ready := select.select([self._listener, changes], [], [], IDLE_S)[0]:
            if changes in ready:
                changes.drain()
                if not self._path.exists():
                    return None
            if self._listener in ready:
                birth = self._answer()
                if birth is not None or not self._is_current:
                    return birth
        return None

    def _answer(self) -> Birth | None:
        """Answer one client; return, in the child that was forked for it, what to become."""
        sock, _ = self._listener.accept()
        request = _request(sock, self._identity)
        if request is not None:
            self._is_current = self._files.are_current
            if self._is_current and _is_child():
                return Birth(request, sock)
        sock.close()
        return None


def _request(sock: socket.socket, identity: str) -> Request | None:
    """Receive a request; return `None` where it isn't one, or is for a process of another kind."""
    _, uid = sockets.peer(sock)
    if uid != os.geteuid():
        return None
    sock.settimeout(_PATIENCE_S)
    try:
        request = Request.decode(sock.recv(spare.MAX_REQUEST))
    except (OSError, ValueError):
        return None
    return request if request.identity == identity else None


def _is_child() -> bool:
    """Fork, and return whether this is the child. A client finds its connection closed without one."""
    with suppress(OSError):
        return os.fork() == 0
    return False

"""The loop of the shim: answer the supervisor, notice what happens, outlive both.

Only one supervisor exists at a time (it holds the run's lock), so a new connection replaces the old one.
"""

from __future__ import annotations

import array
import json
import os
import selectors
import socket
import struct
import sys

from moat.shim.protocol import MAX_DESCRIPTORS, MAX_MESSAGE

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Answer = tuple[dict[str, Any], list[int]]
    """The fields of an answer, and the descriptors to pass along."""
    Command = Callable[[dict[str, Any], list[int]], Answer]
    """Gets a message and the descriptors that came with it.

    The server closes those, and whatever the command appends to them, once the answer is sent.
    """


class Server:
    """The listener, the current supervisor's connection, and whatever else is watched."""

    def __init__(self, listener: socket.socket, problem: str | None) -> None:
        """`problem` is why this shim is of no use: it becomes the answer to the first command."""
        self.commands: dict[str, Command] = {}
        self.on_disconnect: Callable[[], None] = lambda: None
        """Called when the supervisor has gone and no other has taken its place."""
        self._listener = listener
        self._problem = problem
        self._supervisor: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._stopped = False

    def serve(self) -> None:
        """Run until `stop`."""
        self.watch(self._listener.fileno(), self._accept)
        while not self._stopped:
            for key, _ in self._selector.select():
                try:
                    key.data()
                except Exception as exc:  # noqa: BLE001  the command's life depends on the shim's
                    sys.excepthook(type(exc), exc, exc.__traceback__)

    def stop(self) -> None:
        """Return from `serve` once the command at hand is answered."""
        self._stopped = True

    def watch(self, fd: int, act: Callable[[], None]) -> None:
        """Call `act` whenever `fd` is readable."""
        self._selector.register(fd, selectors.EVENT_READ, act)

    def unwatch(self, fd: int) -> None:
        """Forget a watched descriptor, which must still be open."""
        self._selector.unregister(fd)

    @property
    def connected(self) -> bool:
        """Tell whether a supervisor is connected."""
        return self._supervisor is not None

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """Send an event or an answer; without a supervisor, nobody needs it."""
        if self._supervisor is None:
            return
        try:
            socket.send_fds(self._supervisor, [json.dumps(message).encode()], fds or [])
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            # The supervisor is gone, or has left hundreds of messages unread: the next one asks anew.
            self._disconnect()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        _pid, uid, _gid = struct.unpack(
            "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        )
        if uid != os.geteuid():
            connection.close()
            return
        self._disconnect()
        connection.setblocking(False)
        self._supervisor = connection
        self.watch(connection.fileno(), self._read)

    def _disconnect(self) -> None:
        if self._supervisor is not None:
            self.unwatch(self._supervisor.fileno())
            self._supervisor.close()
            self._supervisor = None

    def _read(self) -> None:
        supervisor = self._supervisor
        assert supervisor is not None  # noqa: S101  it is watched only while it is there
        try:
            data, fds = _receive(supervisor)
        except BlockingIOError:
            return  # the readable connection was the last supervisor's
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            self._disconnect()
            self.on_disconnect()
            return
        try:
            self._answer(data, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, data: bytes, fds: list[int]) -> None:
        try:
            answer, passed = self._carry_out(json.loads(data), fds)
        except Exception as exc:  # noqa: BLE001  a missing answer would shift all that follow
            answer, passed = {"error": str(exc), "errno": getattr(exc, "errno", None)}, []
        self.send({"answer": True} | answer, passed)

    def _carry_out(self, message: dict[str, Any], fds: list[int]) -> Answer:
        if self._problem is not None:
            self.stop()
            return {"error": self._problem, "isolated": False}, []
        return self.commands[message["do"]](message, fds)


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors, close-on-exec.

    `socket.recv_fds` drops its `flags` (CPython 3.11), and without MSG_CMSG_CLOEXEC every command
    would inherit the host's folders that come this way for bubblewrap.
    """
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(
        MAX_MESSAGE, socket.CMSG_LEN(MAX_DESCRIPTORS * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)

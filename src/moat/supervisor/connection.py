"""The supervisor's end of an attached connection: frames both ways over a socket."""

from __future__ import annotations

import logging
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moat.events import Peer
from moat.platform import sockets
from moat.session.viewers import FrameSink
from moat.session.write_queue import WriteQueue
from moat.wire import frames

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from moat.wire.frames import FrameType

log = logging.getLogger(__name__)

_READ_BYTES = 1 << 16
_MAX_DESCRIPTORS = 4


class FrameConnection:
    """A connection that is not trusted to live, to read, or to make sense."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        *,
        received: Callable[[int, bytes, list[int]], None],
        drained: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """Take over the socket.

        `received` gets each frame's kind and payload, and the descriptors that came with the read,
        which are closed when it returns. `drained` is called when all that was sent has been taken,
        `lost` when the client is gone, broke off, or sent nonsense.
        """
        self._sock = sock
        self._loop = loop
        self._received = received
        self._lost = lost
        self._frames = frames.FrameReader()
        self._queue = WriteQueue(loop, sock.fileno(), drained=drained, broken=self._broken)
        pid, uid = sockets.peer(sock)
        self.peer = Peer(uid, pid)
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    @property
    def open(self) -> bool:
        return self._sock.fileno() != -1

    @property
    def queued(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._queue.queued

    def sink(self) -> FrameSink:
        """Return a sink that sends output as frames."""
        return FrameSink(self._queue)

    def send(self, kind: FrameType, payload: bytes = b"") -> None:
        self._queue.write(frames.encode(kind, payload))

    def receive(self) -> None:
        """Take what has arrived already, for whoever must know of it before going on."""
        if self.open:
            self._readable()

    def finish(self) -> None:
        """Send no more; the client closes. If we did, unread input would make it see a reset."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._queue.close()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        try:
            data, fds = sockets.receive(self._sock, _READ_BYTES, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._lost()
            return
        try:
            with self.dropping_nonsense():
                for kind, payload in self._frames.feed(data):
                    self._received(kind, payload, fds)
        finally:
            for fd in fds:
                os.close(fd)

    @contextmanager
    def dropping_nonsense(self) -> Generator[None]:
        """Drop the client when something that it has sent turns out to make no sense."""
        try:
            yield
        except (ValueError, IndexError, RecursionError, struct.error) as exc:
            log.warning("a client sent nonsense: %s", exc)
            self._lost()

    def _broken(self, exc: OSError) -> None:
        log.info("a client is gone: %s", exc)
        self._loop.call_soon(self._lost)

"""Accepting connections, as many as there is room for: the others wait in the kernel."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
"""Time until the next attempt where the kernel has no descriptor or memory, which nobody announces."""
_BATCH: Final = 64
"""Connections that are accepted before other work has its turn."""


class AcceptLoop:
    """The listening sockets of one owner, which are all paused while there is no room."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        has_room: Callable[[], bool],
        accepted: Callable[[socket.socket, socket.socket], None],
        room_again: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`accepted` gets each new connection and the listener that it came to.

        A connection is non-blocking, and without Nagle's delay. Where `has_room` returns `False`,
        nothing is accepted until `resume`, or until the loop's time that `room_again` returns.
        """
        self._loop = loop
        self._has_room = has_room
        self._accepted = accepted
        self._room_again = room_again
        self._listeners: list[socket.socket] = []
        self._paused = False
        self._retry: asyncio.TimerHandle | None = None

    def add(self, listener: socket.socket) -> None:
        """Accept on another socket, which belongs to the loop from now on."""
        listener.setblocking(False)
        self._listeners.append(listener)
        if not self._paused:
            self._loop.add_reader(listener, self._accept, listener)

    def resume(self) -> None:
        """Accept again, now that there may be room."""
        if not self._paused:
            return
        self._paused = False
        self._cancel_retry()
        for listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Accept no more. What waits in the backlogs goes with the last descriptor of each listener."""
        self._cancel_retry()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_BATCH):
            if not self._has_room():
                self._pause(self._room_again())
                return
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:
                log.warning("new connections wait: %s", exc)
                self._pause(self._loop.time() + RETRY_S)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted(sock, listener)

    def _pause(self, until: float | None) -> None:
        self._paused = True
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        if until is not None:
            self._retry = self._loop.call_at(until, self.resume)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

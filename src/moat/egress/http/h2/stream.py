"""One stream of an HTTP/2 connection: what waits for the peer's window, and back-pressure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from h2.exceptions import StreamClosedError

from moat.egress.http.h2 import heads

if TYPE_CHECKING:
    from h2.connection import H2Connection

    from moat.egress.http.messages import Payload
    from moat.egress.traffic.entry import Fields

_QUEUE_LIMIT: Final = 128 * 1024
"""Bytes of a stream that may wait for the peer's window before the other side has to pause."""


class Connection(Protocol):
    """The connection of a stream, as the stream sees it."""

    @property
    def h2(self) -> H2Connection: ...
    @property
    def full(self) -> bool:
        """The transport's buffer is full."""
        ...

    def flush(self) -> None: ...
    def is_reset(self, number: int) -> bool: ...
    def acknowledge(self, size: int, number: int) -> None: ...
    def reset(self, number: int, code: int) -> None: ...


class Stream:
    """One exchange on a connection, with a queue of what waits for the peer's window."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        """Bytes in the queue."""
        self._ends = False
        """The end of the stream follows the queue."""
        self._trailers: Fields = []
        self._full = False
        self._paused = False
        self._unacknowledged = 0
        """Bytes that were consumed, but that the peer may not replace yet."""
        self.closed = connection.is_reset(number)
        """Nothing is sent any more."""

    # --- what its side makes of the stream ---

    def data_received(self, data: bytes) -> None:
        raise NotImplementedError

    def ended(self, trailers: Fields) -> None:
        raise NotImplementedError

    def lost(self, why: str) -> None:
        """The peer reset the stream, or the connection broke."""
        raise NotImplementedError

    def full(self) -> None:
        """Too much is waiting to be sent."""
        raise NotImplementedError

    def drained(self) -> None:
        raise NotImplementedError

    # --- sending ---

    def send(self, payload: Payload) -> None:
        if self.closed:
            return
        for piece in payload:
            if piece:
                self._queue.append(memoryview(piece))
                self._queued += len(piece)
        self.pump()

    def end(self, trailers: Fields) -> None:
        self._ends = True
        self._trailers = trailers
        self.pump()

    def flush(self) -> None:
        self.connection.flush()

    def pump(self) -> None:
        """Send as much of the queue as the peer's window allows."""
        if self.closed:
            return
        try:
            while self._queue and (room := self._room()) > 0:
                self._send_piece(room)
            if self._ends and not self._queue:
                self._send_end()
        except StreamClosedError:
            self._close_sending()
        self._report_pressure()

    def _room(self) -> int:
        h2 = self.connection.h2
        return min(h2.local_flow_control_window(self.number), h2.max_outbound_frame_size)

    def _send_piece(self, room: int) -> None:
        piece = self._queue.popleft()
        if len(piece) > room:
            self._queue.appendleft(piece[room:])
            piece = piece[:room]
        self.connection.h2.send_data(self.number, bytes(piece))
        self._queued -= len(piece)

    def _send_end(self) -> None:
        h2 = self.connection.h2
        if self._trailers:
            h2.send_headers(self.number, heads.lowered(self._trailers), end_stream=True)
        else:
            h2.end_stream(self.number)
        self._close_sending()

    def _close_sending(self) -> None:
        self.closed = True
        self._queue.clear()
        self._queued = 0

    def _report_pressure(self) -> None:
        """Let the other side pause or resume, with hysteresis."""
        full = self._queued > _QUEUE_LIMIT or (self._full and self._queued > _QUEUE_LIMIT // 2)
        full = full or self.connection.full
        if full and not self._full:
            self._full = True
            self.full()
        elif self._full and not full:
            self._full = False
            self.drained()

    def reset(self, code: int) -> None:
        self.closed = True
        self._queue.clear()
        self.connection.reset(self.number, code)

    # --- receiving ---

    def consumed(self, size: int) -> None:
        """Let the peer send as many bytes again, now or when the other side resumes."""
        self._unacknowledged += size
        if not self._paused:
            self._acknowledge()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._acknowledge()
            self.connection.flush()

    def _acknowledge(self) -> None:
        size, self._unacknowledged = self._unacknowledged, 0
        self.connection.acknowledge(size, self.number)

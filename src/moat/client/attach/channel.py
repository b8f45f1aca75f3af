"""The client's end of an attached connection: frames both ways, input within its window."""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING

from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Iterator


class ChannelLostError(ConnectionError):
    """The supervisor went away without a last frame."""


class Channel:
    """Frames over a non-blocking socket; the caller polls it and calls `receive` and `flush`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._reader = frames.FrameReader()
        self._out: deque[memoryview] = deque()
        self._unconsumed = 0

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    @property
    def window(self) -> int:
        """How many bytes of input may be sent now."""
        return max(0, frames.INPUT_WINDOW - self._unconsumed)

    def greet(self, payload: bytes, descriptors: list[int]) -> None:
        """HELLO, with the terminal beside it. The first frame: the socket takes it whole."""
        try:
            socket.send_fds(self.sock, [frames.encode(FrameType.HELLO, payload)], descriptors)
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise ChannelLostError from exc

    def send(self, kind: FrameType, payload: bytes = b"") -> None:
        self._out.append(memoryview(frames.encode(kind, payload)))
        self.flush()

    def send_input(self, data: bytes) -> None:
        self._unconsumed += len(data)
        for start in range(0, len(data), 1 << 16):
            self.send(FrameType.INPUT, data[start : start + (1 << 16)])

    def flush(self) -> None:
        """Writes what the socket takes now."""
        try:
            while self._out:
                count = self.sock.send(self._out[0])
                if count < len(self._out[0]):
                    self._out[0] = self._out[0][count:]
                    return
                self._out.popleft()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # What the supervisor said before it went is still to be read; `receive` finds the end.
            self._out.clear()

    def receive(self) -> Iterator[tuple[int, bytes]]:
        """The frames that have come. Raises `ChannelLostError` at the end of the connection."""
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError as exc:
            raise ChannelLostError from exc
        if not data:
            raise ChannelLostError
        yield from self.frames(data)

    def frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that `data` completes, but for those that are the channel's own."""
        for kind, payload in self._reader.feed(data):
            if kind == FrameType.CONSUMED:
                self._unconsumed -= frames.COUNT.unpack(payload)[0]
            else:
                yield kind, payload

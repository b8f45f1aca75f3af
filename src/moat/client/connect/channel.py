"""The client's end of an attached connection: frames both ways, input within its window."""

from __future__ import annotations

import errno
import json
import socket
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from moat.errors import MoatError
from moat.wire import frames, messages
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moat.wire.messages import Hello

_PIECE_BYTES: Final = 1 << 16


class ChannelLostError(ConnectionError):
    """The connection ended without a last frame: the supervisor died."""


class Channel:
    """Frames over a socket that never blocks. A context manager, which closes the socket.

    The caller polls the socket and calls `receive` and `flush`.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._reader = frames.FrameReader()
        self._out: deque[memoryview] = deque()
        self._unconsumed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    @property
    def window(self) -> int:
        """Number of bytes of input that may be sent now."""
        return max(0, frames.INPUT_WINDOW - self._unconsumed)

    def greet(
        self, hello: Hello, *, descriptors: Sequence[int] = (), termios: Sequence[Any] = ()
    ) -> None:
        """Send HELLO, and beside it the terminal: its descriptor, and its attributes (`wire.tty`).

        It is the first frame, and the socket's buffer takes it as a whole.
        """
        payload = json.dumps(asdict(hello) | {"termios": termios}).encode()
        frame = frames.encode(FrameType.HELLO, payload)
        try:
            self._pass(frame, list(descriptors))
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise ChannelLostError from exc

    def _pass(self, frame: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self.sock, [frame], descriptors)
        except OSError as exc:
            if exc.errno != errno.ETOOMANYREFS:
                raise
            # Some program of the user has more descriptors in flight than this process may have open.
            import resource  # noqa: PLC0415  hardly ever needed

            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            socket.send_fds(self.sock, [frame], descriptors)

    def send(self, kind: FrameType, payload: bytes = b"") -> None:
        self._out.append(memoryview(frames.encode(kind, payload)))
        self.flush()

    def send_input(self, data: bytes, kind: FrameType = FrameType.INPUT) -> None:
        self._unconsumed += len(data)
        for start in range(0, len(data), _PIECE_BYTES):
            self.send(kind, data[start : start + _PIECE_BYTES])

    def flush(self) -> None:
        """Write what the socket takes now."""
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
            # The supervisor's last frames are still to be read; `receive` finds the end.
            self._out.clear()

    def receive(self) -> Iterator[tuple[int, bytes]]:
        """Yield the frames that have come. Raise `ChannelLostError` at the end of the connection."""
        try:
            data = self.sock.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError as exc:
            raise ChannelLostError from exc
        if not data:
            raise ChannelLostError
        yield from self.frames(data)

    def frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the frames that `data` completes, except those that keep count of the window."""
        for kind, payload in self._reader.feed(data):
            if kind == FrameType.CONSUMED:
                self._unconsumed -= frames.COUNT.unpack(payload)[0]
            else:
                yield kind, payload


def raise_failure(payload: bytes) -> NoReturn:
    """Raise the error that a FAILED frame carries."""
    failure = messages.unpack(messages.Failure, payload)
    error = MoatError(failure.summary, failure.hint)
    error.code = failure.code
    raise error

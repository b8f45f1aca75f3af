"""The frames of an attached connection: type u8, length u32 (big endian), payload.

Sans-I/O: bytes in, frames out. A frame of an unknown type is delivered like any other and
ignored by the receiver; that is how the protocol grows.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct(">BI")
SIZE = struct.Struct(">HH")
COUNT = struct.Struct(">I")

# Larger than any payload that either side makes (output goes in pieces of 64 KiB), small enough
# that a confused peer can't make us hoard memory.
MAX_PAYLOAD = 1 << 20

# How many bytes of input a client may have on the way before the supervisor says CONSUMED. It keeps
# the connection free for DETACH and RESIZE behind a program that does not read.
INPUT_WINDOW = 256 * 1024


class FrameType(IntEnum):
    # From the client.
    HELLO = 1
    """JSON `messages.Hello`; carries the terminal's descriptor where it is passed."""
    INPUT = 2
    """Bytes for the program."""
    INPUT_END = 3
    """No more input: the program reads end of file."""
    RESIZE = 4
    """Columns u16, rows u16."""
    SIGNAL = 5
    """Signal number u8, for the command."""
    DETACH = 6
    """The viewer leaves; answered by DETACHED when the terminal is free."""
    PAUSE = 7
    """Stop painting (the client was suspended); answered by PAUSED when the terminal is free."""
    RESUME = 8
    """Paint again, from the screen as it is now."""

    # From the supervisor.
    WELCOME = 16
    """JSON `messages.Welcome`, the first frame."""
    STDOUT = 17
    STDERR = 18
    CONSUMED = 19
    """u32: so many bytes of INPUT have been taken."""
    NOTICE = 20
    """UTF-8 text for the user, not output of the program."""
    DETACHED = 21
    """The viewer is gone; UTF-8 reason. Last frame."""
    EXITED = 22
    """JSON `messages.Exited`. Last frame."""
    FAILED = 23
    """JSON `messages.Failure`: the run could not start. Last frame."""
    PAUSED = 24


class FrameError(ValueError):
    """The peer sent what is no frame."""


def encode(kind: FrameType, payload: bytes | memoryview = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


class FrameReader:
    """Cuts a byte stream into frames, whatever the sizes of its pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yields (type, payload) of each complete frame. Raises `FrameError`."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= HEADER.size:
                kind, length = HEADER.unpack_from(self._buffer, start)
                if length > MAX_PAYLOAD:
                    raise FrameError(f"frame of type {kind} claims {length} bytes")
                end = start + HEADER.size + length
                if len(self._buffer) < end:
                    break
                payload = bytes(memoryview(self._buffer)[start + HEADER.size : end])
                start = end
                yield kind, payload
        finally:
            del self._buffer[:start]

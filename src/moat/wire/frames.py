"""The frames of an attached connection: type u8, length u32 (big endian), payload.

Sans-I/O: bytes in, frames out. A frame of an unknown type is delivered like any other, and ignored by
the receiver. That is how the protocol grows.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct(">BI")
SIZE = struct.Struct(">HH")
"""The payload of RESIZE, up to level 0 (`messages.Welcome`)."""
SIZE_AND_PIXELS = struct.Struct(">HHHH")
"""The same from level 1 on."""
COUNT = struct.Struct(">I")
"""The payload of CONSUMED."""

# Larger than any payload that either side makes (output goes in pieces of 64 KiB), and small enough
# that a confused peer can't make us collect much.
MAX_PAYLOAD = 1 << 20

# How many bytes of input a client may send before the supervisor has consumed them. In front of a
# program that doesn't read, the connection stays free for DETACH and RESIZE.
INPUT_WINDOW = 256 * 1024


class FrameType(IntEnum):
    # From the client.
    HELLO = 1
    """JSON `messages.Hello`, the first frame; the terminal's descriptor may come beside it."""
    INPUT = 2
    """Bytes for the program."""
    INPUT_END = 3
    """No more input: the program reads end of file."""
    RESIZE = 4
    """Columns u16, rows u16; from level 1 on width and height in pixels, u16 each, may follow."""
    SIGNAL = 5
    """Signal number u8, for the command."""
    DETACH = 6
    """The viewer leaves. Answered by DETACHED once the supervisor has let go of the terminal."""
    PAUSE = 7
    """Stop painting, since the client needs the terminal. Answered by PAUSED once that is free."""
    RESUME = 8
    """Paint again, from the screen as it is now."""
    REPORT = 9
    """Bytes for the program that the terminal has sent by itself. For level 1 and up."""
    HINT = 10
    """UTF-8 text for the last row of this client's terminal, for a while. For level 1 and up."""

    OVERLAY = 11
    """UTF-8 lines for the last rows of the client's terminal, until none. For level 2 and up."""
    INTERRUPT = 12
    """SIGINT came to the client. This and what follows are about a keyboard that was lent: level 3."""
    PING = 13
    """Keys wait in the terminal. Answered by PONG."""
    TAKE_BACK = 14
    """The client reads its keyboard itself from now on."""

    # From the supervisor.
    WELCOME = 16
    """JSON `messages.Welcome`, the first frame."""
    STDOUT = 17
    STDERR = 18
    CONSUMED = 19
    """u32: how many more bytes of INPUT have been taken."""
    NOTICE = 20
    """UTF-8 text for the user, which isn't output of the program."""
    DETACHED = 21
    """The viewer is detached. UTF-8 reason, empty where it asked for it. Last frame."""
    EXITED = 22
    """JSON `messages.Exited`. Last frame."""
    FAILED = 23
    """JSON `messages.Failure`: the run could not start, or has no such session. Last frame."""
    PAUSED = 24
    NOT_LENT = 25
    """The supervisor can't read the keyboard that it was lent: the client does. From level 3 on."""
    BACKGROUND = 26
    """A key waits in the terminal of a client that isn't in its foreground. RESUME ends that."""
    HELD = 27
    """Input that the supervisor has read and the program has not taken yet. More of it may follow."""
    TAKEN = 28
    """u32: how many bytes of what is HELD have been taken."""
    PASTING = 29
    """u8: 1 where pasted text begins, 0 at its end."""
    PONG = 30


class FrameError(ValueError):
    """The peer has sent something that isn't a frame."""


def encode(kind: FrameType, payload: bytes | memoryview = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


class FrameReader:
    """Cuts a stream of bytes into frames, however it is cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the type and the payload of each complete frame. Raise `FrameError`."""
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

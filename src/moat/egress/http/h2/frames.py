"""Frames of HTTP/2 (RFC 9113 4.1), looked at before h2 sees them. Pure.

Three things h2 leaves open:

- What a frame's length is worth: h2 keeps all of a frame before it finds it too long.
- How much of a header block may come before its end: h2 counts frames, not bytes.
- GOAWAY (6.8). With it a peer says that it takes no further streams; those that it has taken go on. To
  h2 it is the end of the connection at once, and whatever follows an error, so it is cut out of what
  h2 reads.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from h2.errors import ErrorCodes

from moat.egress.http.messages import MAX_HEAD

_DATA: Final = 0x0
_GOAWAY: Final = 0x7
_OF_HEADS: Final = frozenset((0x1, 0x5, 0x9))
"""HEADERS, PUSH_PROMISE, CONTINUATION."""
_END_HEADERS: Final = 0x4
_HEADER: Final = 9
_FIXED: Final = 8
"""Bytes of a GOAWAY's payload that have a meaning; what follows them is for logs."""
_LONGEST: Final = 16 * 1024
"""Bytes of a frame's payload (RFC 9113 4.2): we announce no other bound."""


class RefusedFrameError(Exception):
    """The peer sends what is not worth keeping; the connection ends with this code."""

    def __init__(self, code: ErrorCodes, text: str) -> None:
        super().__init__(text)
        self.code = code


class GoAway(NamedTuple):
    last_stream: int
    """Streams with a higher number were not looked at."""
    code: int


class FrameReader:
    def __init__(self, skip: int = 0) -> None:
        """`skip`: bytes before the first frame."""
        self._left = skip
        """How much of the present frame is still to come."""
        self._held = b""
        """The beginning of a frame that may be a GOAWAY."""
        self._seen = 1
        """Frames whose header was read; the preface is the first."""
        self._is_data = False
        """The present frame is DATA."""
        self._unit = 1
        """The present frame, or the first of its header block."""
        self._in_block = False
        """Frames of a header block are to follow."""
        self._block = 0
        """Bytes of the last header block."""
        self.unfinished = 0
        """Which frame, or header block, has begun and not ended; 0: none. DATA does not count."""

    def feed(self, data: bytes) -> tuple[bytes, list[GoAway]]:
        """What is for h2, and what was found. Raises `RefusedFrameError`."""
        if self._held:
            data = self._held + data
        found: list[GoAway] = []
        pieces: list[bytes] = []
        passed, at, size = 0, self._left, len(data)
        while at + _HEADER <= size:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > _LONGEST:
                raise RefusedFrameError(
                    ErrorCodes.FRAME_SIZE_ERROR, f"a frame of {length} bytes, {_LONGEST} at most"
                )
            end = at + _HEADER + length
            if self._is_goaway(data, at, length):
                if end > size:
                    break
                pieces.append(data[passed:at])
                found.append(_parse(data, at + _HEADER))
                passed = end
            self._begins(data[at + 3], data[at + 4], length)
            at = end
        self._held = data[at:]
        self._left = max(at - size, 0)
        self.unfinished = self._open()
        pieces.append(data[passed:at])
        return b"".join(pieces), found

    def _is_goaway(self, data: bytes, at: int, length: int) -> bool:
        """What is none, a malformed one, or one within a header block is for h2."""
        return (
            data[at + 3] == _GOAWAY
            and not any(data[at + 5 : at + _HEADER])
            and length >= _FIXED
            and not self._in_block
        )

    def _begins(self, kind: int, flags: int, length: int) -> None:
        self._seen += 1
        self._is_data = kind == _DATA
        if not self._in_block:
            self._unit = self._seen
            self._block = 0
        if kind not in _OF_HEADS:
            return
        self._block += length
        if self._block > MAX_HEAD:
            raise RefusedFrameError(
                ErrorCodes.ENHANCE_YOUR_CALM, f"a head of more than {MAX_HEAD} bytes"
            )
        self._in_block = not flags & _END_HEADERS

    def _open(self) -> int:
        if self._in_block or (self._left and not self._is_data):
            return self._unit
        return self._seen + 1 if self._held else 0


def _parse(data: bytes, at: int) -> GoAway:
    last = int.from_bytes(data[at : at + 4], "big") & 0x7FFF_FFFF
    return GoAway(last, int.from_bytes(data[at + 4 : at + 8], "big"))

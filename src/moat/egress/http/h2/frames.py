"""Frames of HTTP/2 (RFC 9113 4.1), checked before h2 sees them. Pure.

h2 leaves three things open:

- The length of a frame: h2 buffers the whole frame before it finds it too long.
- The length of an unfinished header block: h2 counts its frames, not its bytes.
- GOAWAY (6.8): the sender takes no further streams, but finishes those that it has taken. h2 regards
  the connection as closed at once, and everything that follows as an error. So a `FrameReader` cuts
  GOAWAY out of what h2 reads.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from h2.errors import ErrorCodes

from moat.egress.http.messages import MAX_HEAD

_DATA: Final = 0x0
_GOAWAY: Final = 0x7
_HEADER_BLOCK: Final = frozenset((0x1, 0x5, 0x9))
"""HEADERS, PUSH_PROMISE, CONTINUATION."""
_END_HEADERS: Final = 0x4
_HEADER_SIZE: Final = 9
_GOAWAY_SIZE: Final = 8
"""Bytes of a GOAWAY's payload that have a meaning; the rest is for logs."""
_MAX_PAYLOAD: Final = 16 * 1024
"""The default of SETTINGS_MAX_FRAME_SIZE (RFC 9113 4.2), which the proxy doesn't change."""


class RefusedFrameError(Exception):
    """A frame that is not worth buffering; the connection ends with this error code."""

    def __init__(self, code: ErrorCodes, text: str) -> None:
        super().__init__(text)
        self.code = code


class GoAway(NamedTuple):
    last_stream: int
    """The sender ignores streams with a higher number."""
    code: int


class _Header(NamedTuple):
    length: int
    kind: int
    flags: int
    stream: int


class FrameReader:
    """Follows the frames in what a peer sends."""

    def __init__(self, skip: int = 0) -> None:
        """`skip`: bytes before the first frame."""
        self._left = skip
        """Bytes of the present frame that are still to come."""
        self._held = b""
        """The beginning of a frame that may be a GOAWAY."""
        self._count = 1
        """Frames whose header was read, with the preface as the first."""
        self._is_data = False
        """The present frame is DATA."""
        self._unit = 1
        """The number of the present frame, or of the first frame of its header block."""
        self._in_block = False
        """Further frames of a header block must follow."""
        self._block_size = 0
        """Bytes of the present header block."""
        self.unfinished = 0
        """The number of the frame or header block that is incomplete, but for DATA; 0: none."""

    def feed(self, data: bytes) -> tuple[bytes, list[GoAway]]:
        """Return the data for h2, and the GOAWAY frames in it. Raises `RefusedFrameError`."""
        data = self._held + data if self._held else data
        goaways: list[GoAway] = []
        pieces: list[bytes] = []
        passed, at = 0, self._left
        while at + _HEADER_SIZE <= len(data):
            header = _header(data, at)
            end = at + _HEADER_SIZE + header.length
            if self._is_goaway(header):
                if end > len(data):
                    break
                pieces.append(data[passed:at])
                goaways.append(_goaway(data, at + _HEADER_SIZE))
                passed = end
            self._begin(header)
            at = end
        self._held = data[at:]
        self._left = max(at - len(data), 0)
        self.unfinished = self._incomplete()
        pieces.append(data[passed:at])
        return b"".join(pieces), goaways

    def _is_goaway(self, header: _Header) -> bool:
        """Tell whether it is one to cut out; h2 reports a malformed or misplaced one as an error."""
        return (
            header.kind == _GOAWAY
            and header.stream == 0
            and header.length >= _GOAWAY_SIZE
            and not self._in_block
        )

    def _begin(self, header: _Header) -> None:
        self._count += 1
        self._is_data = header.kind == _DATA
        if not self._in_block:
            self._unit = self._count
            self._block_size = 0
        if header.kind not in _HEADER_BLOCK:
            return
        self._block_size += header.length
        if self._block_size > MAX_HEAD:
            raise RefusedFrameError(
                ErrorCodes.ENHANCE_YOUR_CALM, f"a head of more than {MAX_HEAD} bytes"
            )
        self._in_block = not header.flags & _END_HEADERS

    def _incomplete(self) -> int:
        if self._in_block or (self._left and not self._is_data):
            return self._unit
        return self._count + 1 if self._held else 0


def _header(data: bytes, at: int) -> _Header:
    length = int.from_bytes(data[at : at + 3], "big")
    if length > _MAX_PAYLOAD:
        raise RefusedFrameError(
            ErrorCodes.FRAME_SIZE_ERROR, f"a frame of {length} bytes, {_MAX_PAYLOAD} at most"
        )
    return _Header(length, data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big"))


def _goaway(data: bytes, at: int) -> GoAway:
    last = int.from_bytes(data[at : at + 4], "big") & 0x7FFF_FFFF
    return GoAway(last, int.from_bytes(data[at + 4 : at + 8], "big"))

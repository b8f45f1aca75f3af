"""GOAWAY (RFC 9113 6.8), which is read before h2 sees it. Pure.

With it a peer says that it takes no further streams; those that it has taken go on. To h2 it is the end
of the connection at once, and whatever follows an error, so it is cut out of what h2 reads.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_TYPE: Final = 0x7
_HEADER: Final = 9
_FIXED: Final = 8
"""Bytes of its payload that have a meaning; what follows them is for logs."""
_LONGEST: Final = 16 * 1024
"""What a frame may have (RFC 9113 4.2); h2 refuses longer ones."""


class GoAway(NamedTuple):
    last_stream: int
    """Streams with a higher number were not looked at."""
    code: int


class GoAwayReader:
    def __init__(self, skip: int = 0) -> None:
        """`skip`: bytes before the first frame."""
        self._left = skip
        """How much of the present frame is still to come."""
        self._held = b""
        """The beginning of a frame that may be one."""

    def feed(self, data: bytes) -> tuple[bytes, list[GoAway]]:
        """What is for h2, and what was found."""
        if self._held:
            data = self._held + data
        found: list[GoAway] = []
        pieces: list[bytes] = []
        passed, at, size = 0, self._left, len(data)
        while at + _HEADER <= size:
            end = at + _HEADER + int.from_bytes(data[at : at + 3], "big")
            if _is_goaway(data, at, end):
                if end > size:
                    break
                pieces.append(data[passed:at])
                found.append(_parse(data, at + _HEADER))
                passed = end
            at = end
        self._held = data[at:]
        self._left = max(at - size, 0)
        pieces.append(data[passed:at])
        return b"".join(pieces), found


def _is_goaway(data: bytes, at: int, end: int) -> bool:
    """What is none, or a malformed one, is for h2."""
    return (
        data[at + 3] == _TYPE
        and not any(data[at + 5 : at + _HEADER])
        and _FIXED <= end - at - _HEADER <= _LONGEST
    )


def _parse(data: bytes, at: int) -> GoAway:
    last = int.from_bytes(data[at : at + 4], "big") & 0x7FFF_FFFF
    return GoAway(last, int.from_bytes(data[at + 4 : at + 8], "big"))

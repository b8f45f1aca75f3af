"""A journal's events in their order: output, and changes of the terminal's size.

Pure. `transcript` reads events off the disk; `moat logs`, `moat replay` and `asciicast` use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.session.journal.index import Resized, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

# A line may have any length. One that is longer than this is handed on in parts.
_LINE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of output."""

    time: float
    """The time of its first byte, in seconds since the epoch, to the hundredth."""
    stream: Stream
    data: bytes


Event = Written | Resized


class Lines:
    """Joins pieces of output to lines, each with the time of its beginning."""

    def __init__(self) -> None:
        self._incomplete: dict[Stream, Written] = {}

    def feed(self, piece: Written) -> Iterator[Written]:
        """Yield the lines that end in `piece`.

        A line longer than 64 KiB comes in parts, of which all but the last lack the newline.
        """
        begun = self._incomplete.pop(piece.stream, None)
        time, beginning = (piece.time, b"") if begun is None else (begun.time, begun.data)
        *lines, rest = (beginning + piece.data).split(b"\n")
        for line in lines:
            yield Written(time, piece.stream, line + b"\n")
            time = piece.time
        incomplete = Written(time, piece.stream, rest)
        if len(rest) > _LINE_BYTES:
            yield incomplete
        elif rest:
            self._incomplete[piece.stream] = incomplete

    def rest(self) -> list[Written]:
        """Return the lines that have not ended, and forget them."""
        incomplete = list(self._incomplete.values())
        self._incomplete.clear()
        return incomplete

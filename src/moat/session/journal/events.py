"""What a journal says happened, in order: output, and changes of the terminal's size.

Pure. `transcript` reads these off the disk; `moat logs`, `moat replay` and `asciicast` use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.session.journal.index import Resized, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

# A line may be as long as the program likes; one longer than this is dealt with in parts.
_LINE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of output."""

    time: float
    """Seconds since the epoch; of its first byte, to the hundredth."""
    stream: Stream
    data: bytes


Event = Written | Resized


class Lines:
    """Puts pieces of output together into lines, each with the time of its beginning."""

    def __init__(self) -> None:
        self._begun: dict[Stream, Written] = {}

    def feed(self, piece: Written) -> Iterator[Written]:
        """The lines that end in it.

        One longer than 64 KiB comes in parts, of which all but the last lack the newline.
        """
        begun = self._begun.pop(piece.stream, None)
        time, held = (piece.time, b"") if begun is None else (begun.time, begun.data)
        *whole, rest = (held + piece.data).split(b"\n")
        for line in whole:
            yield Written(time, piece.stream, line + b"\n")
            time = piece.time
        unfinished = Written(time, piece.stream, rest)
        if len(rest) > _LINE_BYTES:
            yield unfinished
        elif rest:
            self._begun[piece.stream] = unfinished

    def rest(self) -> list[Written]:
        """The lines that have no end."""
        unfinished = list(self._begun.values())
        self._begun.clear()
        return unfinished

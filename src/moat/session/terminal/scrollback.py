"""The emulator's amount of scrollback: the lines that were asked for, within a number of bytes.

The emulator can limit lines, but then it unmaps and maps pages of 430 KB all the time (60 MB/s instead
of 400). Limited in bytes it uses its pages again. It doesn't say how many bytes it uses, and a row
may take 10 bytes a cell or 50. So the limit is the largest one until there are enough rows, and is
lowered then until rows go. It is raised as soon as rows become few. A reader always finds the lines
that were asked for, unless they take more than the largest limit.

A page that is used again for rows of more colours grows, which the emulator counts only when the limit
is set again: then all rows go that are too many at once. So the limit is never set to what it was or
lower, but raised to the largest one first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.session.terminal.ghostty_abi import Data, Option

if TYPE_CHECKING:
    from moat.session.terminal.ghostty import Terminal

# The most that the scrollback takes by default: 2,000 rows of 300 cells that all differ take 36 MB.
SCROLLBACK_BYTES: Final = 64 * 1024 * 1024

_PAGE_BYTES: Final = 430_000
_CELL_BYTES: Final = 8
# The screen itself takes a page or two, and one is being filled.
_FEWEST_BYTES: Final = 3 * _PAGE_BYTES
_NO_LINE_LIMIT: Final = 1 << 40


class Scrollback:
    """The limit of one terminal's scrollback."""

    def __init__(self, terminal: Terminal, lines: int, most_bytes: int) -> None:
        """Keep `lines` rows above the screen, in at most `most_bytes`."""
        self._terminal = terminal
        self._lines = lines
        self._most = max(most_bytes, _FEWEST_BYTES)
        self._limit = 0
        terminal.set_limit(Option.SCROLLBACK_MAX_LINES, _NO_LINE_LIMIT)
        self.resized()

    def resized(self) -> None:
        """Begin anew, because rows of another width take other numbers of bytes."""
        # Whole pages go, so some pages must be over when rows begin to take more bytes.
        page_rows = _PAGE_BYTES // (_CELL_BYTES * self._terminal.get(Data.COLUMNS)) + 1
        self._few = self._lines + 3 * page_rows
        self._enough = self._few + page_rows
        self._many = self._enough + 2 * page_rows
        self.loosen()

    def loosen(self) -> None:
        """Allow the most, as a snapshot needs it: its copy keeps the limit, but needs more bytes."""
        self._set(self._most)

    def adjust(self) -> None:
        """Adjust the limit after output."""
        rows = self._rows()
        if rows > self._many:
            self.loosen()
            while rows > self._enough and self._limit > _FEWEST_BYTES:
                # A page at a time: the oldest rows may be plain, and many of them in few bytes.
                self._set(max(self._limit - _PAGE_BYTES, _FEWEST_BYTES))
                rows = self._rows()
        elif 0 < rows < self._few and self._limit < self._most:  # the alternate screen has none
            self._set(min(self._limit * 2, self._most))

    def _rows(self) -> int:
        return self._terminal.get(Data.SCROLLBACK_ROWS)

    def _set(self, limit: int) -> None:
        self._limit = limit
        self._terminal.set_limit(Option.SCROLLBACK_MAX_BYTES, limit)

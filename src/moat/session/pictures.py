"""Pictures of a screen, for a terminal that can't be given the program's own output.

A picture shows the part of the screen around the cursor, and below it rows of Moat's own where there are
any. It is drawn row by row, and only those rows are that have changed: terminals don't flicker, and what
one picture costs is bounded by the two sizes. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.session.terminal.status_row import status_rows

if TYPE_CHECKING:
    from moat.session.terminal.screen import Screen
    from moat.spec import TerminalSize

# Terminals that know synchronized output (2026) show nothing until all of a picture is written.
_BEGIN: Final = b"\x1b[?2026h\x1b[?25l"
_END: Final = b"\x1b[?2026l"


class Picture:
    """A picture painted on a terminal, and the part of the screen that it shows."""

    def __init__(self, screen: Screen, size: TerminalSize) -> None:
        """`size` is the terminal's, about which nothing else is known yet."""
        self._screen = screen
        self._size = size
        self._rows: list[bytes] | None = None
        self._cursor = b""
        self._left = self._top = 0

    def changes(self, status: str) -> bytes:
        """Return what paints the screen and the lines of `status` over the last picture."""
        columns = self._size.columns
        below = status_rows(status, columns)[: self._size.rows - 1] if status else []
        height = self._size.rows - len(below)
        self._follow_cursor(columns, height)
        picture = self._screen.rows_vt(self._top, columns, height, left=self._left)
        picture += [b""] * (height - len(picture))
        picture += below
        before, self._rows = self._rows, picture
        rows = b"".join(
            # The row is erased before it is written. After a full row the cursor is still on the last
            # cell, and erasing from there would take that cell with it.
            b"\x1b[%d;1H\x1b[m\x1b[K%b\x1b[m" % (number, row)
            for number, row in enumerate(picture, 1)
            if before is None or before[number - 1] != row
        )
        last, self._cursor = self._cursor, self._draw_cursor(height)
        return _BEGIN + rows + self._cursor + _END if rows or last != self._cursor else b""

    def _follow_cursor(self, columns: int, rows: int) -> None:
        x, y = self._screen.cursor
        whole = self._screen.size
        self._left = across(self._left, x, columns, whole.columns)
        self._top = down(self._top, y, rows, whole.rows)

    def _draw_cursor(self, height: int) -> bytes:
        x, y = self._screen.cursor
        column, row = x - self._left, y - self._top
        visible = b"h" if self._screen.cursor_visible and row < height else b"l"
        return b"\x1b[%d;%dH\x1b[?25%b" % (row + 1, column + 1, visible)


def down(top: int, cursor: int, seen: int, whole: int) -> int:
    """Return the first row to show: of `whole` rows `seen` are, and the cursor's among them.

    It is `top`, the first row of the last picture, or the next to it that will do.
    """
    return min(max(0, min(top, whole - seen), cursor - seen + 1), cursor)


def across(left: int, cursor: int, seen: int, whole: int) -> int:
    """Return the first column to show.

    As long as the cursor is near the beginning of the lines, so is the picture. Otherwise it stays where
    it is, or leaps: text that is typed at its end would move it with each character.
    """
    if cursor < seen:
        return 0
    if left <= cursor < left + seen and left + seen <= whole:
        return left
    return max(cursor - seen + 1, min(cursor - 2 * seen // 3, whole - seen))

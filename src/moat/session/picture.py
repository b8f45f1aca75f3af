"""The rows of an emulated terminal as bytes that draw them.

libghostty's formatter does the work, many rows in one call (0.3 ms for a screen with 700 lines above
it, where asking cell by cell takes a second). What it leaves out is added here for the rows that have
it: backgrounds of rows without text, and hyperlinks.

Every row begins and ends with plain attributes, so rows can be drawn in any order, and a line feed
after one never scrolls in a coloured line (terminals erase with the current background).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from moat.session.ghostty import Region
from moat.session.ghostty_abi import Data, Emit, Space, Wide
from moat.session.ghostty_cells import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.session.ghostty import Terminal
    from moat.session.ghostty_cells import Cell

_PLAIN: Final = b"\x1b[0m"
_END_LINK: Final = b"\x1b]8;;\x1b\\"


def everything(terminal: Terminal, scrollback: int) -> bytes:
    """The newest `scrollback` lines above the screen, and the screen.

    To be written from the top left of an empty one: it scrolls by itself, and wraps by itself where
    the program's text did.
    """
    total, columns = terminal.get(Data.TOTAL_ROWS), terminal.get(Data.COLUMNS)
    top = total - terminal.get(Data.ROWS)
    first = max(0, top - scrollback)
    rows = _formatted(terminal, Region(0, first, columns - 1, total - 1, Space.SCREEN))
    flags = [terminal.row(y, Space.SCREEN) for y in range(first, total)]
    screen = terminal.screen_cells()
    out: list[bytes] = []
    for number, row in enumerate(rows):
        y = first + number
        if flags[number].links:
            out.append(_linked(terminal, y, columns))
        elif row:
            out.append(row)
        else:
            out.append(
                _background(map(describe, screen[y - top]))
                if y >= top
                else _history_background(terminal, y, columns)
            )
        if y + 1 == total:
            break
        soft = flags[number].wraps and flags[number + 1].continues
        if not (soft and _wraps_by_itself(terminal, y, columns)):
            out.append(b"\r\n")
    return b"".join(out)


def visible(terminal: Terminal, first: int, columns: int, rows: int) -> list[bytes]:
    """Rows of the screen from `first` on, as far as they fit; see `Screen.rows_vt`."""
    width = min(columns, terminal.get(Data.COLUMNS))
    last = min(first + rows, terminal.get(Data.ROWS)) - 1
    if last < first:
        return []
    lines = _formatted(terminal, Region(0, first, width - 1, last, rectangle=True))
    cells = terminal.screen_cells()
    for number, line in enumerate(lines):
        y = first + number
        if not line:
            lines[number] = _background(map(describe, cells[y][:width]))
        elif describe(cells[y][width - 1]).wide is Wide.WIDE:
            # Half of it would be cut off: its place stays empty.
            lines[number] = (
                _formatted(terminal, Region(0, y, width - 2, y, rectangle=True))[0]
                if width > 1
                else b""
            )
    return lines


def _formatted(terminal: Terminal, region: Region) -> list[bytes]:
    """One line for each row; the formatter leaves out the empty ones at the end."""
    lines = terminal.format(Emit.VT, region).split(b"\r\n")
    return lines + [b""] * (region.bottom - region.top + 1 - len(lines))


def _wraps_by_itself(terminal: Terminal, y: int, columns: int) -> bool:
    """Whether the terminal wraps where row `y` ends and the next is written after it.

    It does after a row that is full, before one that begins with text.
    """
    end = terminal.cell(columns - 1, y, Space.SCREEN)
    begin = terminal.cell(0, y + 1, Space.SCREEN)
    if end.wide is Wide.SPACER_HEAD:
        return begin.wide is Wide.WIDE
    return begin.text and (end.text or end.wide is Wide.SPACER_TAIL)


def _linked(terminal: Terminal, y: int, columns: int) -> bytes:
    """A row with the links of its cells. Which links were one by their `id` is not known."""
    targets = [
        terminal.link(x, y, Space.SCREEN) if terminal.cell(x, y, Space.SCREEN).link else b""
        for x in range(columns)
    ]
    out: list[bytes] = []
    for target, columns_of in groupby(range(columns), key=targets.__getitem__):
        where = list(columns_of)
        if where[0] > 0:
            # The formatter leaves out what is empty at the end of the part before.
            out.append(b"\x1b[%dG" % (where[0] + 1))
        text = terminal.format(Emit.VT, Region(where[0], y, where[-1], y, Space.SCREEN))
        out.append(b"\x1b]8;;%b\x1b\\%b%b" % (target, text, _END_LINK) if target else text)
    return b"".join(out)


def _history_background(terminal: Terminal, y: int, columns: int) -> bytes:
    """As `_background`, for a row of the scrollback, where each cell costs a call.

    Looked at only where the row's end has a background: programs erase to the end of the line.
    """
    if terminal.cell(columns - 1, y, Space.SCREEN).background is None:
        return b""
    return _background(terminal.cell(x, y, Space.SCREEN) for x in range(columns))


def _background(cells: Iterable[Cell]) -> bytes:
    """A row that has no text, from its cells."""
    runs = [
        (color, sum(1 for _ in run))
        for color, run in groupby(cells, key=lambda cell: cell.background)
    ]
    if runs and runs[-1][0] is None:
        runs.pop()
    if not runs:
        return b""
    return b"".join(_PLAIN + _select(color) + b" " * length for color, length in runs) + _PLAIN


def _select(color: int | tuple[int, int, int] | None) -> bytes:
    if color is None:
        return b""
    if isinstance(color, int):
        return b"\x1b[48;5;%dm" % color
    return b"\x1b[48;2;%d;%d;%dm" % color

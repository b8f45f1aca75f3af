"""The rows of an emulated terminal, as bytes that draw them.

libghostty's formatter does most of the work, for all rows in one call. Some rows are drawn piece by
piece instead, because the formatter leaves out hyperlinks and the backgrounds of rows without text,
and gives cells that were never written the attributes of the text before them.

Every row begins and ends with plain attributes. So rows can be drawn in any order, and neither a line
feed nor a wrap behind one scrolls in a coloured line (terminals erase with the current background).
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.session.terminal.ghostty import Region, indexed
from moat.session.terminal.ghostty_abi import Data, Emit, Space, Wide
from moat.session.terminal.ghostty_cells import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.session.terminal.ghostty import Terminal
    from moat.session.terminal.ghostty_cells import Color, RawCells, RawRow

_PLAIN: Final = b"\x1b[0m"
_END_LINK: Final = b"\x1b]8;;\x1b\\"
# A cell that was never written, or that was erased without a background, is all zeros.
_EMPTY: Final = bytes(8)
# Text that makes a terminal wrap, and is drawn over then.
_WRAP: Final = b" \r"
# The first bytes of characters whose width terminals disagree about: combining ones, East Asian wide
# and ambiguous ones, emoji, joiners and variation selectors, but not Latin, Greek and Cyrillic.
_WIDTH_UNSURE: Final = re.compile(rb"[\xcc\xcd\xd4-\xf4]")


class _Kind(NamedTuple):
    """The properties that neighbouring cells share if they can be drawn as one piece."""

    written: bool
    background: Color | None
    """Set for cells that have nothing but a background."""
    link: bytes


class _Row(NamedTuple):
    """A row, or neighbouring cells of one."""

    y: int
    """The row's number in `Space.SCREEN`."""
    cells: RawCells
    linked: bool
    """Tells that links are to be drawn and there may be some."""
    first: int = 0
    """The column of the first cell."""


def everything(terminal: Terminal, scrollback: int) -> bytes:
    """Draw the newest `scrollback` lines above the screen, and the screen.

    The bytes are for an empty screen, which they scroll by themselves. Rows that are one line wrap as
    the program's text did. Each row of the screen begins at its own place, and no row leaves the one
    that it begins in, so a row which the viewer takes for longer than it is moves no other.
    """
    total, columns = terminal.get(Data.TOTAL_ROWS), terminal.get(Data.COLUMNS)
    height = terminal.get(Data.ROWS)
    first, top = max(0, total - height - scrollback), total - height
    rows = terminal.rows(first, total - first)
    lines = _formatted(terminal, first, total - first, (0, columns - 1))
    out: list[bytes] = []
    wrap = b""
    for place, (raw, line) in enumerate(zip(rows, lines, strict=True)):
        next_wrap = _WRAP if place + 1 < len(rows) and _wraps(raw, rows[place + 1]) else b""
        row = _Row(first + place, raw.cells, linked=raw.links)
        drawn = _drawn(terminal, row, line, fill=bool(next_wrap))
        if _WIDTH_UNSURE.search(drawn):
            next_wrap = b""
            drawn = _unwrapped(_drawn(terminal, row, line))
        if first + place < top:
            out.append(_next_line(wrap, drawn) if place else b"")
        elif place < height:
            out.append(wrap + _row_begin(place))
        else:
            out.append((wrap or _row_begin(height - 1) + b"\n") + _row_begin(height - 1))
        out.append(drawn)
        wrap = next_wrap
    return b"".join(out)


def _next_line(wrap: bytes, row: bytes) -> bytes:
    if not wrap:
        return b"\r\n"
    return wrap if row.startswith(b"\x1b") else b""  # text wraps by itself


def _row_begin(y: int) -> bytes:
    return b"\x1b[%dH" % (y + 1)


def _unwrapped(row: bytes) -> bytes:
    """Draw a row that stays within its row, however wide a terminal takes its characters for."""
    return b"\x1b[?7l%b\x1b[?7h" % row


def visible(
    terminal: Terminal, first: int, columns: int, rows: int, *, left: int = 0
) -> list[bytes]:
    """Draw a part of the screen, as far as it fits; see `Screen.rows_vt`."""
    width = min(columns, terminal.get(Data.COLUMNS) - left)
    height = min(rows, terminal.get(Data.ROWS) - first)
    if width < 1 or height < 1:
        return []
    top = terminal.get(Data.TOTAL_ROWS) - terminal.get(Data.ROWS) + first
    lines = _formatted(terminal, top, height, (left, left + width - 1))
    drawn = [
        _drawn(terminal, _Row(top + number, raw.cells[left : left + width], False, left), line)
        for number, (raw, line) in enumerate(zip(terminal.rows(top, height), lines, strict=True))
    ]
    return [_unwrapped(row) if _WIDTH_UNSURE.search(row) else row for row in drawn]


def character(terminal: Terminal, x: int, y: int) -> tuple[int, bytes]:
    """Return the column where the character at `x` begins, and the bytes that draw it."""
    top = terminal.get(Data.TOTAL_ROWS) - terminal.get(Data.ROWS)
    raw = terminal.rows(top + y, 1)[0]
    first = x - 1 if describe(raw.cells[x]).wide is Wide.SPACER_TAIL else x
    row = _Row(top + y, raw.cells[first : x + 1], raw.links, first)
    return first, b"".join(_pieces(terminal, row))


def _formatted(terminal: Terminal, first: int, rows: int, columns: tuple[int, int]) -> list[bytes]:
    """Return a line for each row, also for empty rows at the end, which the formatter leaves out.

    `columns` are the first and the last.
    """
    begin, end = columns
    region = Region(begin, first, end, first + rows - 1, Space.SCREEN, rectangle=True)
    lines = terminal.format(Emit.VT, region).split(b"\r\n")
    return lines + [b""] * (rows - len(lines))


def _wraps(row: RawRow, following: RawRow) -> bool:
    """Tell whether the rows are one line, and a terminal can be made to wrap between them.

    A terminal wraps after a row that is written to its end, before a row that begins with text. A wide
    character that didn't fit leaves the last column free, but only in terminals that agree on its width.
    """
    whole = describe(row.cells[-1]).wide is not Wide.SPACER_HEAD
    return row.wraps and following.continues and whole and describe(following.cells[0]).text


def _drawn(terminal: Terminal, row: _Row, line: bytes, *, fill: bool = False) -> bytes:
    """Draw a row, piece by piece if the formatter's line isn't right; with `fill`, to its very end."""
    cells = row.cells
    end = describe(cells[-1]).wide
    if end in {Wide.WIDE, Wide.SPACER_HEAD}:
        # Half of a wide character that is cut off, or the place where one didn't fit, stays empty.
        cells = cells[:-1]
    if not cells:
        return b""
    used = cells.tobytes().rstrip(b"\0")
    halved = describe(cells[0]).wide is Wide.SPACER_TAIL
    wrong = not line or halved or end is Wide.WIDE or (b"\x1b" in line and _EMPTY in used)
    if not (used and (wrong or row.linked)):
        return line + b" " * (len(cells) - (len(used) + 7) // 8) if fill else line
    pieces = list(_pieces(terminal, row._replace(cells=cells)))
    while not fill and pieces and pieces[-1].isspace():
        pieces.pop()
    return b"".join(pieces)


def _pieces(terminal: Terminal, row: _Row) -> Iterator[bytes]:
    kinds: list[_Kind] = []
    for x, raw in enumerate(row.cells, row.first):
        cell = describe(raw)
        if cell.wide is Wide.SPACER_TAIL:
            # The half of a character that begins left of what is drawn stays empty.
            kinds.append(kinds[-1] if kinds else _Kind(False, None, b""))
            continue
        link = terminal.link(x, row.y, Space.SCREEN) if row.linked and cell.link else b""
        kinds.append(_Kind(raw != 0 and cell.background is None, cell.background, link))
    start = row.first
    for kind, cells in groupby(kinds):
        length = sum(1 for _ in cells)
        blank = b" " * length
        if kind.written:
            end = start + length - 1
            text = terminal.format(
                Emit.VT, Region(start, row.y, end, row.y, Space.SCREEN, rectangle=True)
            )
            yield (
                b"\x1b]8;;%b\x1b\\%b%b" % (kind.link, text, _END_LINK)
                if kind.link
                else text or blank
            )
        elif kind.background is None:
            yield blank
        else:
            yield _PLAIN + _select(kind.background) + blank + _PLAIN
        start += length


def _select(color: Color) -> bytes:
    if isinstance(color, int):
        return indexed(40, color)
    return b"\x1b[48;2;%d;%d;%dm" % color

"""The rows of an emulated terminal as bytes that draw them.

libghostty's formatter does most of the work, all rows in one call. What it leaves out or gets wrong is
put right here, for the rows that have it: backgrounds of rows without text and hyperlinks are missing,
and cells that were never written take on the attributes of the text before them.

Every row begins and ends with plain attributes, so rows can be drawn in any order, and a line feed
after one never scrolls in a coloured line (terminals erase with the current background).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.session.ghostty import Region
from moat.session.ghostty_abi import Data, Emit, Space, Wide
from moat.session.ghostty_cells import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.session.ghostty import Terminal
    from moat.session.ghostty_cells import Color, RawCells

_PLAIN: Final = b"\x1b[0m"
_END_LINK: Final = b"\x1b]8;;\x1b\\"
# A cell that was never written, or was erased without a background, is all zeros.
_EMPTY: Final = bytes(8)


class _Kind(NamedTuple):
    """What neighbouring cells have to share to be drawn as one piece."""

    text: bool
    background: Color | None
    """Of cells without text."""
    link: bytes


def everything(terminal: Terminal, scrollback: int) -> bytes:
    """The newest `scrollback` lines above the screen, and the screen.

    To be written from the top left of an empty one: it scrolls by itself, and wraps by itself where
    the program's text did.
    """
    total, columns = terminal.get(Data.TOTAL_ROWS), terminal.get(Data.COLUMNS)
    first = max(0, total - terminal.get(Data.ROWS) - scrollback)
    flags = [terminal.row(y, Space.SCREEN) for y in range(first, total)]
    cells = terminal.cells(first, total - first)
    lines = _formatted(terminal, first, total - first, columns)
    out: list[bytes] = []
    for number, line in enumerate(lines):
        linked = flags[number].links
        out.append(_corrected(terminal, first + number, cells[number], line, linked=linked))
        if number + 1 == len(lines):
            break
        if flags[number].wraps and flags[number + 1].continues:
            out.append(_soft_break(cells[number], cells[number + 1]))
        else:
            out.append(b"\r\n")
    return b"".join(out)


def visible(terminal: Terminal, first: int, columns: int, rows: int) -> list[bytes]:
    """Rows of the screen from `first` on, as far as they fit; see `Screen.rows_vt`."""
    width = min(columns, terminal.get(Data.COLUMNS))
    height = min(rows, terminal.get(Data.ROWS) - first)
    if width < 1 or height < 1:
        return []
    top = terminal.get(Data.TOTAL_ROWS) - terminal.get(Data.ROWS) + first
    lines = _formatted(terminal, top, height, width)
    cells = terminal.cells(top, height)
    return [
        _corrected(terminal, top + number, cells[number][:width], line, linked=False)
        for number, line in enumerate(lines)
    ]


def character(terminal: Terminal, x: int, y: int) -> tuple[int, bytes]:
    """The column where the character begins that the screen has at `x`, and what draws it."""
    top = terminal.get(Data.TOTAL_ROWS) - terminal.get(Data.ROWS)
    row = terminal.cells(top + y, 1)[0]
    first = x - 1 if describe(row[x]).wide is Wide.SPACER_TAIL else x
    linked = terminal.row(y, Space.ACTIVE).links
    return first, b"".join(_pieces(terminal, top + y, row[first : x + 1], first, linked=linked))


def _formatted(terminal: Terminal, first: int, rows: int, columns: int) -> list[bytes]:
    """One line for each row; the formatter leaves out the empty ones at the end."""
    region = Region(0, first, columns - 1, first + rows - 1, Space.SCREEN, rectangle=True)
    lines = terminal.format(Emit.VT, region).split(b"\r\n")
    return lines + [b""] * (rows - len(lines))


def _soft_break(row: RawCells, following: RawCells) -> bytes:
    """What is to be written between two rows so that the terminal wraps there by itself.

    It does after a row that is full, before one that begins with text.
    """
    begin = describe(following[0])
    head = describe(row[-1]).wide is Wide.SPACER_HEAD
    if not begin.text or (head and begin.wide is not Wide.WIDE):
        return b"\r\n"
    used = row.tobytes()[: len(row) * 8 - 8 * head].rstrip(b"\0")
    return b" " * (len(row) - head - (len(used) + 7) // 8)


def _corrected(terminal: Terminal, y: int, row: RawCells, line: bytes, *, linked: bool) -> bytes:
    """The row, drawn anew piece by piece if the formatter's line isn't right."""
    # A wide character cut in half by the end of the row: its place stays empty.
    cut = describe(row[-1]).wide is Wide.WIDE
    used = row.tobytes().rstrip(b"\0")
    wrong = not line or (b"\x1b" in line and _EMPTY in used)
    if not (used and (cut or linked or wrong)):
        return line
    pieces = list(_pieces(terminal, y, row[:-1] if cut else row, linked=linked))
    while pieces and pieces[-1].isspace():
        pieces.pop()
    return b"".join(pieces)


def _pieces(
    terminal: Terminal, y: int, row: RawCells, first: int = 0, *, linked: bool
) -> Iterator[bytes]:
    """Draws cells of a row from column `first` on."""
    kinds: list[_Kind] = []
    for x, raw in enumerate(row, first):
        cell = describe(raw)
        if cell.wide is Wide.SPACER_TAIL and kinds:
            kinds.append(kinds[-1])
            continue
        link = terminal.link(x, y, Space.SCREEN) if linked and cell.link else b""
        kinds.append(_Kind(cell.text, cell.background, link))
    start = first
    for kind, cells in groupby(kinds):
        length = sum(1 for _ in cells)
        if kind.text:
            text = terminal.format(
                Emit.VT, Region(start, y, start + length - 1, y, Space.SCREEN, rectangle=True)
            )
            yield b"\x1b]8;;%b\x1b\\%b%b" % (kind.link, text, _END_LINK) if kind.link else text
        elif kind.background is None:
            yield b" " * length
        else:
            yield _PLAIN + _select(kind.background) + b" " * length + _PLAIN
        start += length


def _select(color: Color) -> bytes:
    if isinstance(color, int):
        return b"\x1b[48;5;%dm" % color
    return b"\x1b[48;2;%d;%d;%dm" % color

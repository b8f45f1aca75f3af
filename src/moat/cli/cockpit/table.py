"""The table of `moat top` as lines of a terminal. Pure.

Whatever a run says (its command, its last line) is made printable and cut. Colours are those of the
terminal's own palette, and the chosen row is in reverse, so dark and light backgrounds are alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moat.columns import fitted, padded, width

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER: Final = ("NAME", "STATE", "WAITS FOR", "COMMAND", "NET", "TOKENS", "AGE", "LAST LINE")
_MOST: Final = {"NAME": 28, "COMMAND": 14}
"""The most columns of cells whose text the user or a program chooses."""
_DROPPABLE: Final = ("NET", "COMMAND", "TOKENS", "AGE", "LAST LINE")
"""Columns that a narrow terminal doesn't show, in the order in which they go."""
_LEAST: Final = 16
"""Columns that the last line of a screen is worth, at the price of others."""
_GAP: Final = "  "
_BOLD, _DIM, _REVERSE, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[m"
_STATES: Final = {"running": "32", "failed": "31", "lost": "31", "stopping": "33"}
_WAITS: Final = "1;35"
_MULTIPLES: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class Row(NamedTuple):
    """The table's cells about one run."""

    id: str
    name: str
    state: str
    waits_for: str
    command: str
    net: str
    tokens: str
    age: str
    last_line: str
    ended: bool

    @property
    def cells(self) -> tuple[str, ...]:
        shown = (self.name, self.state, self.waits_for, self.command, self.net, self.tokens)
        return (*shown, self.age, self.last_line)


def printable(text: str) -> str:
    """Return the text on one line, with spaces where something isn't printable."""
    if text.isprintable():
        return text.strip()
    return "".join(each if each.isprintable() else " " for each in text).strip()


def short_count(count: int) -> str:
    """Return a number in at most four characters: `1.2M`."""
    for size, unit in _MULTIPLES:
        if count >= size * 0.9995:
            amount = count / size
            return f"{amount:.1f}{unit}" if amount < 9.95 else f"{amount:.0f}{unit}"
    return str(count)


def model_use(tokens: int, dollars: float, unpriced: int) -> str:
    """Return the tokens that a run has consumed, and their cost as far as it is known."""
    if not tokens:
        return ""
    known = f"${dollars:.2f}" if dollars or not unpriced else "$?"
    return f"{short_count(tokens)} {known}{'+' if unpriced and dollars else ''}"


def short_age(seconds: float) -> str:
    """Return a length of time in its largest unit: `3m`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "now"


def draw(
    rows: Sequence[Row], selected: str, columns: int, *, empty: str = "", coloured: bool = True
) -> list[str]:
    """Return the header and a line for each row; `selected` is the id of the chosen one."""
    if not rows:
        return ["", fitted(empty, columns)]
    names = list(HEADER)
    table = [
        [_cut(name, cell) for name, cell in zip(HEADER, row.cells, strict=True)] for row in rows
    ]
    widths = _widths(names, table)
    for name in _DROPPABLE:
        if sum(widths[:-1]) + len(_GAP) * (len(widths) - 1) + _LEAST <= columns:
            break
        place = names.index(name)
        for cells in (names, *table):
            del cells[place]
        widths = _widths(names, table)
    lines = [_line(names, widths, columns, _BOLD if coloured else "")]
    for row, cells in zip(rows, table, strict=True):
        if row.id == selected:
            text = padded(_plain(cells, widths, columns), columns)
            lines.append(f"{_REVERSE}{text}{_PLAIN}" if coloured else text)
        else:
            lines.append(_row(row, names, cells, widths, columns, coloured=coloured))
    return lines


def _cut(name: str, cell: str) -> str:
    text = printable(cell)
    return fitted(text, _MOST[name]) if name in _MOST else text


def _widths(names: Sequence[str], table: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(width, column)) for column in zip(names, *table, strict=True)]


def _plain(cells: Sequence[str], widths: Sequence[int], columns: int) -> str:
    return fitted(_GAP.join(map(padded, cells, widths)).rstrip(), columns)


def _line(cells: Sequence[str], widths: Sequence[int], columns: int, style: str) -> str:
    text = _plain(cells, widths, columns)
    return f"{style}{text}{_PLAIN}" if style else text


def _row(
    row: Row,
    names: Sequence[str],
    cells: Sequence[str],
    widths: Sequence[int],
    columns: int,
    *,
    coloured: bool,
) -> str:
    """Return a row with colours; none may be in a text while it is cut."""
    room, line = columns, ""
    for number, (name, cell, wide) in enumerate(zip(names, cells, widths, strict=True)):
        gap = _GAP if number else ""
        text = fitted(padded(cell, wide) if number < len(cells) - 1 else cell, room - len(gap))
        room -= len(gap) + width(text)
        if room < 0 or (not text and cell):
            break
        style = _style(row, name) if coloured else ""
        line += gap + (f"\x1b[{style}m{text}{_PLAIN}" if style and text.strip() else text)
    return line.rstrip()


def _style(row: Row, name: str) -> str:
    match name:
        case "STATE":
            return _STATES.get(row.state.partition(" ")[0], "")
        case "WAITS FOR":
            return _WAITS
        case "NET":
            return "31" if "/" in row.net else ""
        case _:
            return ""

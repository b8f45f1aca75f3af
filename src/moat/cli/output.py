"""Text for people: tables, ages, colour where it is wanted."""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from moat.columns import fitted, padded, widest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_COLOURS: Final = {"running": "32", "failed": "31", "lost": "31", "stopping": "33"}
_EPOCH: Final = date(1970, 1, 1).toordinal()
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_array(items: Iterable[Mapping[str, Any]]) -> None:
    sys.stdout.write(json_array(items))


def json_array(items: Iterable[Mapping[str, Any]]) -> str:
    """Return a text with an item per line, which `json` makes fast, and which suits grep and diff."""
    lines = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in items)
    return f"[\n  {lines}\n]\n" if lines else "[]\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns to their widest cells; the last column is not padded."""
    widths = _widths(header, rows)
    return "".join(f"{_line(row, widths)}\n" for row in (header, *rows))


def fitted_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    terminal: int,
    droppable: Sequence[str] = (),
) -> str:
    """Draw a table in so many columns of a terminal.

    Columns that are `droppable` give way to the last one, in their order; then that is cut, and at
    last every line.
    """
    table_of = [list(header), *map(list, rows)]
    for name in droppable:
        widths = _widths(table_of[0], table_of[1:])
        if sum(widths[:-1]) + 2 * len(widths[1:]) + min(widths[-1], _LEAST) <= terminal:
            break
        place = table_of[0].index(name)
        for row in table_of:
            del row[place]
    widths = _widths(table_of[0], table_of[1:])
    return "".join(f"{fitted(_line(row, widths), terminal)}\n" for row in table_of)


_LEAST: Final = 20
"""Columns that the last one of a table is worth, at the price of others."""


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [widest(column) for column in zip(header, *rows, strict=True)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(map(padded, row, widths)).rstrip()


def terminal_columns() -> int | None:
    """Return how wide the terminal at standard output is; `None` where it is none, or doesn't say."""
    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None


def colours() -> dict[str, str]:
    """Return the coloured form of states, empty where standard output has no colours (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return {}
    return {word: f"\x1b[{colour}m{word}\x1b[0m" for word, colour in _COLOURS.items()}


def age(timestamp: str, now: float) -> str:
    """Return how long ago an RFC 3339 time in UTC was; `now` is in seconds since the epoch."""
    seconds = int(now - seconds_since_epoch(timestamp))
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "now"


def seconds_since_epoch(timestamp: str) -> int:
    """Convert `YYYY-MM-DDThh:mm:ss...Z`. By hand: a listing has thousands, and strptime is slow."""
    hours, minutes, seconds = int(timestamp[11:13]), int(timestamp[14:16]), int(timestamp[17:19])
    return _midnight(timestamp[:10]) + hours * 3600 + minutes * 60 + seconds


@cache
def _midnight(day: str) -> int:
    return (date.fromisoformat(day).toordinal() - _EPOCH) * 86400


def progress(text: str) -> None:
    """Say on stderr what is being waited for, if that is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")

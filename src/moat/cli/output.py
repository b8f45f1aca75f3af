"""Text for people: tables, ages, colour where it is wanted."""

from __future__ import annotations

import calendar
import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_COLOURS: Final = {"running": "32", "failed": "31", "lost": "31", "stopping": "33"}
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_array(items: Iterable[Mapping[str, Any]]) -> None:
    """Print an item per line, which `json` does fast, and which suits grep and diff."""
    lines = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in items)
    sys.stdout.write(f"[\n  {lines}\n]\n" if lines else "[]\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns to their widest cells; the last column is not padded."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in (header, *rows)
    )


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
    return calendar.timegm((int(day[:4]), int(day[5:7]), int(day[8:]), 0, 0, 0))


def progress(text: str) -> None:
    """Say on stderr what is being waited for, if that is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")

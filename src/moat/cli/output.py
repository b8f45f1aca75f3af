"""Text for people: tables, ages, colour where it is wanted."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLOURS: Final = {"running": "32", "failed": "31", "lost": "31", "stopping": "33"}
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in (header, *rows)
    )


def coloured(text: str, word: str) -> str:
    """The text with `word` in its colour, on terminals that want one (no-color.org)."""
    colour = _COLOURS.get(word)
    if colour is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return text.replace(word, f"\x1b[{colour}m{word}\x1b[0m", 1)


def age(timestamp: str | None, now: float | None = None) -> str:
    """How long ago an RFC 3339 time (UTC) was: "3 minutes ago"."""
    if timestamp is None:
        return ""
    # By hand: datetime's parser costs every listing an import.
    then = _timegm(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S"))
    seconds = max(0, int((time.time() if now is None else now) - then))
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "now"


def _timegm(parsed: time.struct_time) -> int:
    import calendar  # noqa: PLC0415  small, but strptime has loaded it already

    return calendar.timegm(parsed)


def progress(text: str) -> None:
    """Says on stderr what is being waited for, where somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")

"""A run's record as text for people: a line for each row, a table for each sum.

What a hostile program has asked for is shown as ASCII that can be printed, whatever it was.
"""

from __future__ import annotations

import os
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moat.cli.output import table
from moat.egress.totals import TOKENS, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.egress.record_rows import Row
    from moat.egress.totals import HostTotal, ModelTotal

_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[m"
_COLOURS: Final = {"denied": _RED, "failed": _YELLOW, "asking": _YELLOW}

# A narrow terminal has better use for the room that a date takes.
_LONG, _SHORT = "%m-%d %H:%M:%S", "%H:%M:%S"
_WIDE: Final = 120


class Lines:
    """Rows as lines: of a terminal's width, with colours, and reasons below; else all in one line."""

    def __init__(self, *, width: int | None, colours: bool) -> None:
        self._width = width
        self._colours = colours
        self._short = width is not None and width < _WIDE
        time = "TIME".ljust(len(self._moment(0)))
        self._result_at = len(time) + 2
        columns = f"{time}  {'RESULT':6}  {'METHOD':7}  {'TOOK':>7}  {'UP':>6}  {'DOWN':>6}  "
        self.header = f"{columns}URL\n"
        self._indent = " " * (len(columns) + 2)

    @classmethod
    def for_stdout(cls) -> Lines:
        if not sys.stdout.isatty():
            return cls(width=None, colours=False)
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
        return cls(width=columns or None, colours=not os.environ.get("NO_COLOR"))

    def line(self, row: Row) -> str:
        result = _result(row)
        took = "..." if row.goes_on else duration(row.total)
        start = (
            f"{self._moment(row.time)}  {result:6}  {shown(row.method):7.16}  {took:>7}"
            f"  {size(row.sent):>6}  {size(row.received):>6}  "
        )
        text = start + shown(row.url)
        why = "" if row.verdict == "allowed" else _why(row)
        if self._width is None:
            return f"{text}  {why}\n" if why else f"{text}\n"
        lines = [_cut(text, self._width)]
        if self._colours and row.verdict in _COLOURS:
            coloured = f"{_COLOURS[row.verdict]}{result}{_PLAIN}"
            at = self._result_at
            lines[0] = lines[0][:at] + lines[0][at:].replace(result, coloured, 1)
        if why:
            reason = _cut(self._indent + why, self._width)
            lines.append(f"{_DIM}{reason}{_PLAIN}" if self._colours else reason)
        return "\n".join(lines) + "\n"

    def _moment(self, seconds: float) -> str:
        """Local time."""
        whole = int(seconds)
        if self._short:
            return _second(whole, _SHORT)
        return f"{_second(whole, _LONG)}.{int((seconds - whole) * 1000):03}"


def hosts(totals: Sequence[HostTotal]) -> str:
    header = ("HOST", "REQUESTS", "DENIED", "FAILED", "UP", "DOWN", "P50", "P95")
    rows = [
        (
            shown(each.host) or "-",
            str(each.requests),
            str(each.denied or ""),
            str(each.failed or ""),
            size(each.sent),
            size(each.received),
            *(duration(percentile(each.times, share)) for share in (0.5, 0.95)),
        )
        for each in totals
    ]
    return table(header, rows)


def models(totals: Sequence[ModelTotal]) -> str:
    header = ("PROVIDER", "MODEL", "REQUESTS", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE")
    rows = [
        (
            shown(each.provider),
            shown(each.model),
            str(each.requests),
            *(str(each.tokens[kind]) for kind in TOKENS),
        )
        for each in totals
    ]
    return table(header, rows)


def shown(text: str) -> str:
    """ASCII that acts on no terminal, and in which no letter looks like another's."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode()


def size(count: int) -> str:
    """Bytes in at most six characters."""
    if count < 1024:
        return str(count)
    amount = float(count)
    for unit in "kMGT":
        amount /= 1024
        if amount < 999.5 or unit == "T":
            return f"{amount:.1f}{unit}" if amount < 99.95 else f"{amount:.0f}{unit}"
    raise AssertionError("the last unit takes every amount")


def duration(seconds: float | None) -> str:
    """In at most seven characters; `-` where it is not known."""
    if seconds is None or seconds < 0:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.{1 if seconds < 0.00995 else 0}f}ms"
    if seconds < 59.995:
        return f"{seconds:.2f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def _result(row: Row) -> str:
    """The status of who answered; the verdict where that was not the server."""
    if row.goes_on and row.verdict == "allowed":
        return str(row.status or "...")
    if row.verdict != "allowed":
        return row.verdict
    return str(row.status) if row.status else "ok"


def _why(row: Row) -> str:
    return shown(": ".join(each for each in (row.rule, row.error) if each))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


@lru_cache(64)
def _second(seconds: int, form: str) -> str:
    return time.strftime(form, time.localtime(seconds))

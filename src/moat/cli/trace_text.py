"""The output of `moat trace` for people: a line for each row, a table of sums.

Text that a hostile program may have chosen is shown in printable ASCII.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moat.cli.output import table
from moat.egress.traffic.totals import SHARES, TOKENS, percentile
from moat.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.egress.traffic.schema import Row
    from moat.egress.traffic.totals import HostTotal, ModelTotal

_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[m"
_COLOURS: Final = {"denied": _RED, "failed": _YELLOW, "asking": _YELLOW}

_LONG, _SHORT = "%m-%d %H:%M:%S", "%H:%M:%S"
_WIDE: Final = 120
"""Columns of a terminal that has room for the date."""
_ROOMY: Final = 80
"""Columns of a terminal that has room for durations and sizes beside the URL."""


class Lines:
    """Rows as lines: cut to a terminal's width, in colours, with reasons below them; or uncut."""

    def __init__(self, *, width: int | None, colours: bool) -> None:
        self._width = width
        self._colours = colours
        self._short = width is not None and width < _WIDE
        self._narrow = width is not None and width < _ROOMY
        time = "TIME".ljust(len(self._time(0)))
        self._result_at = len(time) + 2
        amounts = "" if self._narrow else f"{'TOOK':>7}  {'UP':>6}  {'DOWN':>6}  "
        self.header = f"{time}  {'RESULT':6}  {'METHOD':7}  {amounts}URL\n"

    @classmethod
    def for_stdout(cls) -> Lines:
        width = terminal_width()
        return cls(width=width, colours=width is not None and not os.environ.get("NO_COLOR"))

    def line(self, row: Row) -> str:
        result = _result(row)
        start = f"{self._time(row.time)}  {result:6}  {printable(row.method):7.16}  "
        if not self._narrow:
            took = "..." if row.in_progress else duration(row.total)
            start += f"{took:>7}  {size(row.sent):>6}  {size(row.received):>6}  "
        text = start + printable(row.url)
        why = printable(row.why)
        if self._width is None:
            return f"{text}  {why}\n" if why else f"{text}\n"
        lines = [_cut(text, self._width)]
        if self._colours and row.verdict in _COLOURS:
            coloured = f"{_COLOURS[row.verdict]}{result}{_PLAIN}"
            at = self._result_at
            lines[0] = lines[0][:at] + lines[0][at:].replace(result, coloured, 1)
        # A reason is never cut: it says what to do.
        dim, plain = (_DIM, _PLAIN) if self._colours else ("", "")
        reasons = _filled(why, self._result_at, self._width)
        lines += [f"{dim}{reason}{plain}" for reason in reasons]
        return "\n".join(lines) + "\n"

    def _time(self, seconds: float) -> str:
        """Format seconds since the epoch as local time."""
        whole = int(seconds)
        if self._short:
            return _second(whole, _SHORT)
        return f"{_second(whole, _LONG)}.{int((seconds - whole) * 1000):03}"


def terminal_width() -> int | None:
    """Return the width of standard output, or `None` if it's no terminal or has none."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def hosts(totals: Sequence[HostTotal], width: int | None = None) -> str:
    header = ("HOST", "REQUESTS", "DNS", "DENIED", "FAILED", "UP", "DOWN", "P50", "P95")
    rows = [
        (
            printable(each.host) or "-",
            str(each.requests),
            str(each.dns or ""),
            str(each.denied or ""),
            str(each.failed or ""),
            size(each.sent),
            size(each.received),
            *(duration(percentile(each.times, share)) for share in SHARES.values()),
        )
        for each in totals
    ]
    return _fitted(header, rows, 1, width)


def models(totals: Sequence[ModelTotal], width: int | None = None) -> str:
    header = (
        "PROVIDER",
        "MODEL",
        "REQUESTS",
        "INPUT",
        "CACHE READ",
        "CACHE WRITE",
        "OUTPUT",
        "COST",
    )
    rows = [
        (
            printable(each.provider),
            printable(each.model) or "unknown",
            str(each.requests),
            *(str(each.tokens[kind]) for kind in TOKENS),
            "unknown" if each.cost is None else f"${each.cost:.4f}",
        )
        for each in totals
    ]
    return _fitted(header, rows, 2, width)


def _fitted(
    header: Sequence[str], rows: Sequence[Sequence[str]], names: int, width: int | None
) -> str:
    """Return a table, or, if the terminal is narrower, each row's names with its sums below."""
    text = table(header, rows)
    if not rows or width is None or all(len(line) <= width for line in text.splitlines()):
        return text
    lines: list[str] = []
    for row in rows:
        lines.append(_cut(" ".join(row[:names]), width))
        columns = zip(header[names:], row[names:], strict=True)
        sums = [f"{name.lower()} {value}" for name, value in columns if value not in {"", "0", "-"}]
        lines += _filled("  ".join(each.replace(" ", _NO_BREAK) for each in sums), 2, width)
    return "\n".join(lines).replace(_NO_BREAK, " ") + "\n"


_NO_BREAK: Final = "\xa0"
"""A space at which `textwrap` breaks no line."""


def _filled(text: str, indent: int, width: int) -> list[str]:
    """Wrap text, indented by so many spaces, or by fewer on a narrow terminal."""
    margin = " " * min(indent, width // 4)
    return textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )


def size(count: int) -> str:
    """Format a number of bytes in at most six characters."""
    if count < 1024:
        return str(count)
    amount = float(count)
    for unit in "kMGT":
        amount /= 1024
        if amount < 999.5 or unit == "T":
            return f"{amount:.1f}{unit}" if amount < 99.95 else f"{amount:.0f}{unit}"
    raise AssertionError("the last unit takes every amount")


def duration(seconds: float | None) -> str:
    """Format seconds in at most seven characters; `-` if they are unknown."""
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
    """Return the status of the server's response; else the verdict."""
    if row.in_progress and row.verdict == "allowed":
        return str(row.status or "...")
    if row.verdict != "allowed":
        return row.verdict
    return str(row.status) if row.status else "ok"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


@lru_cache(64)
def _second(seconds: int, form: str) -> str:
    return time.strftime(form, time.localtime(seconds))

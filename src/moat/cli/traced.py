"""A run's record as text for people: a line for each row, a table for each sum.

What a hostile program has asked for is shown as ASCII that can be printed, whatever it was.
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.egress.traffic.schema import Row
    from moat.egress.traffic.totals import HostTotal, ModelTotal

_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[m"
_COLOURS: Final = {"denied": _RED, "failed": _YELLOW, "asking": _YELLOW}

# A narrow terminal has better use for the room that a date takes.
_LONG, _SHORT = "%m-%d %H:%M:%S", "%H:%M:%S"
_WIDE: Final = 120
# Below, there would be no room for the URL beside what it took.
_ROOMY: Final = 80


class Lines:
    """Rows as lines: of a terminal's width, with colours, and reasons below; else all in one line."""

    def __init__(self, *, width: int | None, colours: bool) -> None:
        self._width = width
        self._colours = colours
        self._short = width is not None and width < _WIDE
        self._narrow = width is not None and width < _ROOMY
        time = "TIME".ljust(len(self._moment(0)))
        self._result_at = len(time) + 2
        amounts = "" if self._narrow else f"{'TOOK':>7}  {'UP':>6}  {'DOWN':>6}  "
        self.header = f"{time}  {'RESULT':6}  {'METHOD':7}  {amounts}URL\n"

    @classmethod
    def for_stdout(cls) -> Lines:
        width = terminal_width()
        return cls(width=width, colours=width is not None and not os.environ.get("NO_COLOR"))

    def line(self, row: Row) -> str:
        result = _result(row)
        start = f"{self._moment(row.time)}  {result:6}  {shown(row.method):7.16}  "
        if not self._narrow:
            took = "..." if row.in_progress else duration(row.total)
            start += f"{took:>7}  {size(row.sent):>6}  {size(row.received):>6}  "
        text = start + shown(row.url)
        why = shown(row.why)
        if self._width is None:
            return f"{text}  {why}\n" if why else f"{text}\n"
        lines = [_cut(text, self._width)]
        if self._colours and row.verdict in _COLOURS:
            coloured = f"{_COLOURS[row.verdict]}{result}{_PLAIN}"
            at = self._result_at
            lines[0] = lines[0][:at] + lines[0][at:].replace(result, coloured, 1)
        # In full: it says what to do about it.
        dim, plain = (_DIM, _PLAIN) if self._colours else ("", "")
        reasons = _filled(why, self._result_at, self._width)
        lines += [f"{dim}{reason}{plain}" for reason in reasons]
        return "\n".join(lines) + "\n"

    def _moment(self, seconds: float) -> str:
        """Local time."""
        whole = int(seconds)
        if self._short:
            return _second(whole, _SHORT)
        return f"{_second(whole, _LONG)}.{int((seconds - whole) * 1000):03}"


def terminal_width() -> int | None:
    """Of standard output, where it is a terminal that has one."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def hosts(totals: Sequence[HostTotal], width: int | None = None) -> str:
    header = ("HOST", "REQUESTS", "DNS", "DENIED", "FAILED", "UP", "DOWN", "P50", "P95")
    rows = [
        (
            shown(each.host) or "-",
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
    header = ("PROVIDER", "MODEL", "REQUESTS", "INPUT", "CACHE READ", "CACHE WRITE", "OUTPUT")
    rows = [
        (
            shown(each.provider),
            shown(each.model) or "unknown",
            str(each.requests),
            *(str(each.tokens[kind]) for kind in TOKENS),
        )
        for each in totals
    ]
    return _fitted(header, rows, 2, width)


def _fitted(
    header: Sequence[str], rows: Sequence[Sequence[str]], names: int, width: int | None
) -> str:
    """A table; where that is wider than the terminal, each row's names with what they sum below."""
    drawn = table(header, rows)
    if not rows or width is None or all(len(line) <= width for line in drawn.splitlines()):
        return drawn
    lines: list[str] = []
    for row in rows:
        lines.append(_cut(" ".join(row[:names]), width))
        found = zip(header[names:], row[names:], strict=True)
        sums = [f"{what.lower()} {value}" for what, value in found if value not in {"", "0", "-"}]
        lines += _filled("  ".join(each.replace(" ", _HELD) for each in sums), 2, width)
    return "\n".join(lines).replace(_HELD, " ") + "\n"


_HELD: Final = "\xa0"
"""A space at which no line is broken."""


def _filled(text: str, indent: int, width: int) -> list[str]:
    """Lines of at most `width` characters that begin with so many spaces, or fewer on a narrow one."""
    margin = " " * min(indent, width // 4)
    return textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )


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

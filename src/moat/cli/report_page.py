"""The report of a run as one HTML page. Pure.

Whatever a run has chosen is escaped, and the page runs and loads nothing: its policy says so to the
browser, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final

from moat.cli.report_plot import plot
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moat.cli.report_plot import Point

TIME: Final = "Time"
"""The header of a first column that isn't broken, nor is the one behind it."""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """\
:root{color-scheme:light dark;--line:#8884;--dim:#888;--red:#c33;--mark:#48c}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}
th,td{border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.times td:nth-child(-n+2){white-space:nowrap}
th{font-weight:600;color:var(--dim);white-space:nowrap}.bad{color:var(--red)}.dim{color:var(--dim)}
pre{font:13px/1.3 ui-monospace,monospace;overflow-x:auto;padding:.8rem;margin:0}
pre{border:1px solid var(--line)}
pre.screen{background:#1d1f21;color:#c5c8c6;border:0}
svg{width:100%;height:auto}svg polyline{fill:none;stroke:var(--mark);stroke-width:2}
svg .area{fill:var(--mark);opacity:.15}svg line{stroke:var(--line)}
svg text{font-size:11px;fill:var(--dim)}
@media print{body{max-width:none;padding:0}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text; `bad` are the numbers of rows that are marked."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bad: frozenset[int] = frozenset()
    left_out: int = 0
    """Rows before these that there was no room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of a page about a run."""

    name: str
    state: str
    made: str
    """When and by what the report was made."""
    facts: Sequence[tuple[str, str]]
    timeline: Table
    hosts: Table
    denials: Table
    models: Table
    tokens: Sequence[Point] = ()
    """Tokens by time."""
    span: tuple[float, float] = (0.0, 0.0)
    """The run's begin and end."""
    changes: Sequence[str] = ()
    """Lines about files that were changed."""
    screen: str = ""
    """The content of a `<pre>`, escaped already: the last screen."""
    output: str = ""
    """The end of the output of a run without a terminal."""
    notes: Sequence[str] = field(default_factory=tuple[str, ...])
    """Lines about what could not be read."""


def page(report: Report) -> Iterator[str]:
    """Yield the page in pieces."""
    title = _text(report.name)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<p>{_text(report.state)}</p>\n"
        f'<p class="dim">{_text(report.made)}</p>\n'
    )
    for note in report.notes:
        yield f'<p class="bad">{_text(note)}</p>\n'
    yield from _table(Table(header=(), rows=report.facts))
    picture = plot(report.tokens, *report.span, "tokens")
    yield from _section("Language models", report.models, picture)
    yield from _section("Network", report.hosts)
    yield from _section("Denied", report.denials)
    if report.changes:
        yield "<h2>Files changed</h2>\n<pre>"
        yield from (f"{_text(line)}\n" for line in report.changes)
        yield "</pre>\n"
    if report.screen:
        yield f'<h2>Last screen</h2>\n<pre class="screen">{report.screen}\n</pre>\n'
    elif report.output:
        yield f"<h2>End of its output</h2>\n<pre>{_lines(report.output)}</pre>\n"
    yield from _section("What happened", report.timeline)
    yield "</body>\n</html>\n"


def _section(title: str, table: Table, before: str = "") -> Iterator[str]:
    if not table.rows:
        return
    yield f"<h2>{_text(title)}</h2>\n{before}\n"
    if table.left_out:
        yield f'<p class="dim">{table.left_out:,} earlier ones are left out.</p>\n'
    yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield '<table class="times">\n' if table.header[:1] == (TIME,) else "<table>\n"
    if table.header:
        yield f"<tr>{_cells('th', table.header)}</tr>\n"
    for number, row in enumerate(table.rows):
        mark = ' class="bad"' if number in table.bad else ""
        if table.header:
            yield f"<tr{mark}>{_cells('td', row)}</tr>\n"
        else:
            yield f"<tr>{_cells('th', row[:1])}{_cells('td', row[1:])}</tr>\n"
    yield "</table>\n"


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)


def _text(text: str) -> str:
    """Return text of a run, or of anybody else, that is nothing but text in a page."""
    return escape(without_controls(text.encode(errors="backslashreplace").decode()))


def _lines(text: str) -> str:
    return "\n".join(_text(line) for line in text.splitlines())

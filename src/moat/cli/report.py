"""`moat report [RUN] -o FILE`."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from moat import timestamps
from moat.cli.arguments import output_option, run_argument
from moat.cli.audit import Entries
from moat.cli.audit_text import words
from moat.cli.diff_text import shown, stat_lines, summaries
from moat.cli.found import find
from moat.cli.new_file import write_new
from moat.cli.path_limits import is_listed
from moat.cli.report_page import TIME, Report, Table, page
from moat.cli.trace_text import duration, size
from moat.client.display.spending import read_spending
from moat.egress.budget.prices import DOLLAR, with_shipped
from moat.egress.traffic import totals
from moat.egress.traffic.reader import Filter, TrafficReader, is_readable
from moat.egress.traffic.schema import timestamp
from moat.errors import MoatError
from moat.runs.store import Store
from moat.spec.budget import BUDGET_LIMITS, in_words
from moat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moat.cli.report_plot import Point
    from moat.runs.store import Run
    from moat.spec import RunSpec

T = TypeVar("T")

MOST_ENTRIES: Final = 2000
"""Rows of the timeline, the newest ones."""
MOST_HOSTS: Final = 50
MOST_DENIALS: Final = 200
MOST_FILES: Final = 500
OUTPUT_CHARACTERS: Final = 20_000


@click.command("report")
@run_argument()
@output_option
def command(run: str | None, *, file: Path) -> None:
    """Write a report of a run as one HTML page, which loads and runs nothing.

    It has what happened, from the audit log, the hosts and models that were asked, with tokens and cost,
    what was denied, the files that were changed, and the last screen or the end of the output. Secrets
    are masked as they are in the records; what a program has printed is shown as it is.
    """
    with Store() as store:
        found = find(store, run)
        write_new(file, (piece.encode() for piece in page(_Gathered(store, found).report())))


class _Gathered:
    """Reads the facts of one run from its files."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._spec: RunSpec = store.spec(run.id)
        self._folder = store.folder(run.id)
        self._notes: list[str] = []

    def report(self) -> Report:
        run = self._run
        began = _seconds(run.started_at or run.created_at)
        ended = _seconds(run.stopped_at) if run.stopped_at else time.time()
        state = str(run.state) if run.exit_code is None else f"{run.state} ({run.exit_code})"
        traffic = self._traffic()
        changes = self._changes()
        screen, output = self._last_output()
        return Report(
            name=run.name,
            state=f"{state}: {run.error}" if run.error else state,
            made=f"made {timestamps.now(milliseconds=False)} by moat {__version__}",
            facts=self._facts(ended - began),
            timeline=self._timeline(),
            span=(began, ended),
            changes=changes,
            screen=screen,
            output=output,
            notes=self._notes,
            **traffic,
        )

    def _facts(self, seconds: float) -> list[tuple[str, str]]:
        run, spec = self._run, self._spec
        known = self._tried("its use of the network", self._spending) or {}
        facts = [
            ("Command", " ".join(run.command)),
            ("Workspace", run.workspace),
            ("Run", f"{run.id}, engine {run.engine}"),
            ("Began", run.started_at or run.created_at),
            ("Ended", run.stopped_at or "goes on"),
            ("Took", duration(seconds)),
            ("Network policy", spec.network.policy),
            ("Credentials", ", ".join(each.name for each in spec.grants)),
            ("Secrets", ", ".join(spec.secrets)),
            ("Used", known.get("used", "")),
            ("Limits", known.get("limits", "")),
        ]
        return [fact for fact in facts if fact[1]]

    def _spending(self) -> dict[str, str]:
        known = read_spending(self._folder, self._spec.budget)
        limits = {name: known["limits"][name] for name in BUDGET_LIMITS}
        return {
            "used": ", ".join(
                in_words(name, known["spent"][name])
                for name in BUDGET_LIMITS
                if known["spent"][name]
            ),
            "limits": ", ".join(
                in_words(name, amount) for name, amount in limits.items() if amount is not None
            ),
        }

    def _timeline(self) -> Table:
        entries: deque[tuple[str, str, str]] = deque(maxlen=MOST_ENTRIES)
        count = 0
        bad: set[int] = set()

        def read() -> None:
            nonlocal count
            for entry in Entries(self._folder.audit).news():
                try:
                    text = words(entry)
                except (ValueError, KeyError, TypeError, AttributeError):
                    text = "can't be understood"
                entries.append((entry["time"], entry["event"], text))
                count += 1

        self._tried("the audit log", read)
        bad = {number for number, entry in enumerate(entries) if entry[1] in _BAD}
        return Table(
            header=(TIME, "Event", ""),
            rows=list(entries),
            bad=frozenset(bad),
            left_out=count - len(entries),
        )

    def _traffic(self) -> dict[str, Any]:
        empty = Table(header=(), rows=())
        found: dict[str, Any] = {"hosts": empty, "denials": empty, "models": empty, "tokens": ()}

        def read() -> None:
            if is_readable(self._folder.database):
                with TrafficReader(self._folder.database) as reader:
                    found["hosts"] = _hosts(reader)
                    found["denials"] = _denials(reader)
                    found["tokens"] = list(_tokens(reader))
                    found["models"] = self._models(reader)

        self._tried("the record of the network", read)
        return found

    def _models(self, reader: TrafficReader) -> Table:
        wanted = Filter(models=True)
        prices = with_shipped(self._spec.budget.prices)
        rows: list[tuple[str, ...]] = []
        sums = totals.by_model(reader.rows(wanted, 0.0), reader.dropped_models(wanted))
        for each in sums:
            cost = prices.cost(each.model, each.tokens)
            shown_cost = "unknown" if cost is None else f"${cost / DOLLAR:.4f}"
            counts = (f"{each.tokens[kind]:,}" for kind in totals.TOKENS)
            rows.append(
                (each.provider, each.model or "unknown", str(each.requests), *counts, shown_cost)
            )
        header = ("Provider", "Model", "Requests", "Input", "Cache read", "Cache write", "Output")
        return Table(header=(*header, "Cost"), rows=rows)

    def _changes(self) -> list[str]:
        from moat.workspace.frozen_changes import changes_of  # noqa: PLC0415  loads slowly

        lines: list[str] = []

        def read() -> None:
            with changes_of(self._folder, ended=self._run.ended) as (changes, pack):
                listed = [each for each in changes.changes if is_listed(each, ())]
                others = [each for each in changes.changes if not is_listed(each, ())]

                def content(side: Any) -> bytes | None:
                    return None if side is None or side.content is None else pack.read(side.content)

                few = (
                    (each, content(each.before), content(each.after))
                    for each in listed[:MOST_FILES]
                )
                lines.extend(shown(line).rstrip("\n") for line in summaries(others))
                lines.extend(shown(line).rstrip("\n") for line in stat_lines(few))
                if len(listed) > MOST_FILES:
                    lines.append(f" and {len(listed) - MOST_FILES} more files")

        self._tried("what it changed", read)
        return lines

    def _last_output(self) -> tuple[str, str]:
        """Return the last screen as HTML, or else the end of the output as text."""
        from moat.client.display import page as screens  # noqa: PLC0415  load the emulator
        from moat.client.display import styled  # noqa: PLC0415
        from moat.client.display.screen import read_screen, read_text  # noqa: PLC0415

        def screen() -> str:
            return screens.spans(styled.lines(read_screen(self._store, self._run, "html")))

        def output() -> str:
            return read_text(self._store, self._run)[-OUTPUT_CHARACTERS:]

        if self._run.tty:
            return self._tried("its screen", screen) or "", ""
        return "", self._tried("its output", output) or ""

    def _tried(self, what: str, read: Callable[[], T]) -> T | None:
        """Return what `read` returns; where that fails, note it, for the rest is worth a page."""
        try:
            return read()
        except (MoatError, OSError) as exc:
            why = exc.summary if isinstance(exc, MoatError) else exc.strerror
            self._notes.append(f"{what} can't be shown: {why}")
            return None


_BAD: Final = frozenset(
    ("denied", "fault", "left_behind", "quarantined", "gap", "limit_used_up", "credential_echoed")
)
"""Events that are marked."""


def _hosts(reader: TrafficReader) -> Table:
    sums = totals.by_host(reader.by_host(Filter(), 0.0), reader.dropped_hosts(Filter()))
    rows = [
        (
            each.host or "-",
            str(each.requests),
            str(each.denied or ""),
            str(each.failed or ""),
            size(each.sent),
            size(each.received),
        )
        for each in sums[:MOST_HOSTS]
    ]
    header = ("Host", "Requests", "Denied", "Failed", "Sent", "Received")
    return Table(header=header, rows=rows)


def _denials(reader: TrafficReader) -> Table:
    wanted = Filter(denied=True)
    after = reader.before_the_last(MOST_DENIALS, wanted, 0.0)
    rows = [
        (timestamp(row.time), row.method, row.url, row.why)
        for row in reader.rows(wanted, 0.0, after=after)
    ]
    return Table(header=(TIME, "Method", "URL", "Why"), rows=rows)


def _tokens(reader: TrafficReader) -> Iterator[Point]:
    """Yield when models have answered, and how many tokens they have consumed."""
    for row in reader.rows(Filter(models=True), 0.0):
        usage: dict[str, object] = row.as_json()["usage"]
        counts = (usage.get(kind) for kind in (*totals.TOKENS, "estimated_tokens"))
        yield row.time + max(row.total, 0.0), sum(each for each in counts if isinstance(each, int))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

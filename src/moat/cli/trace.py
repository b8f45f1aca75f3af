"""`moat trace [RUN]`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from moat.cli.arguments import HostGlob, run_argument
from moat.cli.found import find
from moat.egress.traffic.entry import Kind
from moat.egress.traffic.reader import Filter, Follower, TrafficReader, is_readable
from moat.egress.traffic.schema import timestamp
from moat.errors import MoatError, UsageError
from moat.runs.store import Store
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moat.egress.budget.prices import Prices
    from moat.egress.traffic.schema import Captured, Row
    from moat.egress.traffic.totals import HostTotal, ModelTotal
    from moat.runs.store import Run

SLOW: Final = "1s"
_BATCH: Final = 500
"""Lines that are written together."""


def _output(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", "forms", flag_value=name, multiple=True, help=text)


@click.command("trace")
@run_argument()
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with entries as they happen.")
@click.option("-n", "--tail", "last", type=click.IntRange(min=0), help="Only the last N entries.")
@click.option("--since", metavar="TIME", help="Only from TIME on: 10m (ago), or an RFC 3339 time.")
@click.option("--host", type=HostGlob(), metavar="GLOB", help="Only these hosts: '*.example.com'.")
@click.option("--denied", is_flag=True, help="Only what the policy denied.")
@click.option("--mcp", "tools", is_flag=True, help="Only calls of tools on MCP servers.")
@click.option(
    "--slow",
    metavar="[DURATION]",
    is_flag=False,
    flag_value=SLOW,
    help=f"Only what took that long ({SLOW} by default), or has taken that long so far.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(get_args(Kind)),
    multiple=True,
    help="Only entries of this kind.",
)
@_output("json", "Print one JSON object per line: entries, or sums.")
@_output("har", "Print an HTTP archive, for a browser's developer tools.")
@_output("summary", "Print sums by host.")
@_output("llm", "Print tokens by language model.")
@click.option("--network", is_flag=True, hidden=True, expose_value=False, help="The default.")
def command(  # noqa: PLR0913  an option each
    run: str | None,
    *,
    follows: bool,
    last: int | None,
    since: str | None,
    host: str | None,
    denied: bool,
    tools: bool,
    slow: str | None,
    kinds: tuple[Kind, ...],
    forms: tuple[str, ...],
) -> None:
    """Print what went over a run's network: requests, DNS questions, tunnels and refusals.

    A request is shown with its URL, status, time and bytes, and a denial with the rule that denied it.
    With -f, an entry is shown when it is complete. A request that waits for you (asking), a tunnel and
    a WebSocket are also shown when they begin: with in_progress in --json, and the same id later.

    The keys of --json: id, time (RFC 3339), kind, verdict (allowed, denied, failed, asking), status,
    method, url, scheme, host, port, address (the one dialled), path, protocol, rule, error, credential,
    in_progress, durations (dns, connect, tls, first_byte, total: seconds or null), sent, received
    (bytes), usage.

    --summary counts requests and tunnels together, and DNS questions apart, because a program asks
    several for one request. DENIED and FAILED count entries of all kinds. P50 and P95 are percentiles
    of the times of completed requests and tunnels. Entries that were dropped to make room still count in
    these sums and in those of --llm, but not in the percentiles, nor where other options than --host
    choose entries. The host * stands for hosts of which only a sum together is left.

    --llm makes the counts of all vendors comparable: INPUT came from no cache, CACHE READ came from
    one, CACHE WRITE was put into one, and OUTPUT includes reasoning. Their sum is everything that was
    consumed. A response that can't be read still counts as a request. COST is in US dollars, by list
    prices and by yours (prices in the settings); it is unknown for a model without a price.
    """
    form = _form(forms)
    if follows and form not in (None, "json"):
        raise UsageError(f"--{form} can't be followed", "Leave out -f")
    wanted = Filter(
        host=host,
        denied=denied,
        tools=tools,
        slow=None if slow is None else _duration(slow),
        kinds=kinds,
        since=None if since is None else _moment(since),
        models=form == "llm",
    )
    with Store() as store:
        found = find(store, run)
        if follows:
            _follow(store, found, wanted, last, form)
            return
        if not is_readable(store.folder(found.id).database):
            raise MoatError(f"run {found.name} has no record of its network traffic")
        with TrafficReader(store.folder(found.id).database) as reader:
            _warn_of_gaps(reader)
            chosen = _Chosen(reader, wanted, last)
            if form in ("summary", "llm"):
                prices = _prices(store, found) if form == "llm" else None
                _write(_sums(chosen, prices, as_json="json" in forms))
            else:
                _write(_pieces(form, chosen))


def _form(forms: tuple[str, ...]) -> str | None:
    """Return the form of the output; with sums, `--json` is no form of its own. Raises `UsageError`."""
    wanted = [form for form in dict.fromkeys(forms) if form != "json"]
    if len(wanted) > 1:
        raise UsageError(f"--{wanted[0]} and --{wanted[1]} exclude each other", "Give one of them")
    return wanted[0] if wanted else "json" if forms else None


def _duration(slow: str) -> float:
    try:
        return parse_duration(slow)
    except UsageError as error:
        raise UsageError(error.summary, "Put RUN before --slow, or write --slow=500ms") from error


def _moment(since: str) -> float:
    from moat.cli.plain.logs import moment_of  # noqa: PLC0415  for --since alone

    return moment_of(since, time.time())


def _start(reader: TrafficReader, wanted: Filter, last: int | None) -> int:
    return 0 if last is None else reader.before_the_last(last, wanted, time.time())


class _Chosen:
    """The rows that the user asked for."""

    def __init__(self, reader: TrafficReader, wanted: Filter, last: int | None) -> None:
        """`last`: how many of the rows at the end, if not all."""
        self._reader = reader
        self._wanted = wanted
        self._all = last is None
        self._now = time.time()
        self._after = _start(reader, wanted, last)

    def rows(self) -> Iterator[Row]:
        return self._reader.rows(self._wanted, self._now, after=self._after)

    def captured(self) -> Iterator[tuple[Row, Captured]]:
        return self._reader.captured(row for row in self.rows() if row.is_http)

    def hosts(self) -> list[HostTotal]:
        from moat.egress.traffic import totals  # noqa: PLC0415  for --summary alone

        dropped = self._reader.dropped_hosts(self._wanted) if self._all else []
        return totals.by_host(
            self._reader.by_host(self._wanted, self._now, after=self._after), dropped
        )

    def models(self, prices: Prices) -> list[ModelTotal]:
        from moat.egress.budget.prices import DOLLAR  # noqa: PLC0415  for --llm alone
        from moat.egress.traffic import totals  # noqa: PLC0415

        dropped = self._reader.dropped_models(self._wanted) if self._all else []
        sums = totals.by_model(self.rows(), dropped)
        for each in sums:
            cost = prices.cost(each.model, each.tokens)
            each.cost = None if cost is None else cost / DOLLAR
        return sums


# --- output ---


def _pieces(form: str | None, chosen: _Chosen) -> Iterable[str]:
    if form == "har":
        from moat.egress.traffic import har  # noqa: PLC0415  for --har alone

        return har.document(har.entry(row, capture) for row, capture in chosen.captured())
    header, line_of = _lines(form)
    return chain([header], map(line_of, chosen.rows()))


def _prices(store: Store, run: Run) -> Prices:
    from moat.egress.budget.prices import with_shipped  # noqa: PLC0415  for --llm alone

    return with_shipped(store.spec(run.id).budget.prices)


def _sums(chosen: _Chosen, prices: Prices | None, *, as_json: bool) -> Iterable[str]:
    """Return sums by host or, with `prices`, by model."""
    if as_json:
        sums = chosen.hosts() if prices is None else chosen.models(prices)
        return (_as_line(each.as_json()) for each in sums)
    from moat.cli import trace_text  # noqa: PLC0415  as above

    width = trace_text.terminal_width()
    if prices is None:
        return [trace_text.hosts(chosen.hosts(), width)]
    return [trace_text.models(chosen.models(prices), width)]


def _lines(form: str | None) -> tuple[str, Callable[[Row], str]]:
    """Return the header, and a function that makes a line of a row."""
    if form == "json":
        return "", _json_line
    from moat.cli import trace_text  # noqa: PLC0415  not for --json

    lines = trace_text.Lines.for_stdout()
    return lines.header, lines.line


def _json_line(row: Row) -> str:
    return _as_line(row.as_json())


def _as_line(value: dict[str, Any]) -> str:
    # DEL is the one control character that `json` doesn't escape.
    return json.dumps(value).replace("\x7f", "\\u007f") + "\n"


def _write(pieces: Iterable[str]) -> None:
    batch: list[str] = []
    for piece in pieces:
        batch.append(piece)
        if len(batch) == _BATCH:
            sys.stdout.write("".join(batch))
            batch.clear()
    sys.stdout.write("".join(batch))
    sys.stdout.flush()


def _warn_of_gaps(reader: TrafficReader) -> None:
    counts = reader.counts()
    if counts["dropped"]:
        until = reader.dropped_until()
        through = "" if until is None else f" (through {timestamp(until)})"
        sys.stderr.write(
            f"moat: the oldest {counts['dropped']:,} entries were dropped to make room{through}\n"
        )
    if counts["lost"]:
        sys.stderr.write(f"moat: {counts['lost']:,} entries could not be written in time\n")


# --- follow ---


def _follow(store: Store, run: Run, wanted: Filter, last: int | None, form: str | None) -> None:
    from moat.client.watch.follow import follow  # noqa: PLC0415  for -f alone

    header, line_of = _lines(form)
    _write([header])
    with ExitStack() as stack:
        follower = None
        for _ in follow(store, run):
            if follower is None and is_readable(store.folder(run.id).database):
                reader = stack.enter_context(TrafficReader(store.folder(run.id).database))
                _warn_of_gaps(reader)
                follower = Follower(reader, wanted, after=_start(reader, wanted, last))
            if follower is not None:
                _write(map(line_of, follower.news(time.time())))
        if follower is not None:
            _write(map(line_of, follower.rest(time.time())))

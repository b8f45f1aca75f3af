"""`moat trace [RUN]`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from moat.cli.arguments import HostGlob, find, run_argument
from moat.egress.traffic.entry import Kind
from moat.egress.traffic.reader import Filter, Follower, TrafficReader, is_readable
from moat.errors import MoatError, UsageError
from moat.runs.store import Store
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moat.egress.traffic.schema import Row
    from moat.runs.store import Run

SLOW: Final = "1s"
_FLUSHED: Final = 500
"""Lines that are written at once."""


def _output(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", "forms", flag_value=name, multiple=True, help=text)


@click.command("trace")
@run_argument()
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with what comes next.")
@click.option("-n", "--tail", "last", type=click.IntRange(min=0), help="The last so many lines.")
@click.option("--since", metavar="TIME", help="From then on: 10m (ago), or an RFC 3339 time.")
@click.option(
    "--host", type=HostGlob(), metavar="GLOB", help="To these hosts alone: '*.example.com'."
)
@click.option("--denied", is_flag=True, help="What the policy refused.")
@click.option(
    "--slow",
    metavar="[DURATION]",
    is_flag=False,
    flag_value=SLOW,
    help=f"What took so long ({SLOW}), or takes so long already.",
)
@click.option(
    "--kind", "kinds", type=click.Choice(get_args(Kind)), multiple=True, help="This kind alone."
)
@_output("json", "An object a line: of rows, or of sums.")
@_output("har", "An HTTP archive, for a browser's tools.")
@_output("summary", "Sums by host.")
@_output("llm", "Tokens by language model.")
@click.option("--network", is_flag=True, hidden=True, expose_value=False, help="The default.")
def command(  # noqa: PLR0913  an option each
    run: str | None,
    *,
    follows: bool,
    last: int | None,
    since: str | None,
    host: str | None,
    denied: bool,
    slow: str | None,
    kinds: tuple[Kind, ...],
    forms: tuple[str, ...],
) -> None:
    """Print what went over a run's network: requests, DNS questions, tunnels and refusals.

    A request is shown with its URL, status, time and bytes; what was denied, with the rule that did.
    With -f each is shown when it is over. A request that waits for the user (asking), a tunnel and a
    WebSocket are shown when they begin, too: in --json with in_progress, and later with the same id.

    The keys of --json: id, time (RFC 3339), kind, verdict (allowed, denied, failed, asking), status,
    method, url, scheme, host, port, address (dialled), path, protocol, rule, error, credential,
    in_progress, durations (dns, connect, tls, first_byte, total: seconds or null), sent, received
    (bytes), usage.

    --summary counts requests and tunnels, and questions for names apart: a program asks several for
    one request. DENIED and FAILED are of all of them, P50 and P95 of the times of what was answered.

    --llm counts alike what vendors count differently: INPUT came from no cache, CACHE READ did, CACHE
    WRITE was put into one, and OUTPUT holds reasoning, too. Together they are all that was taken. A
    response that can't be read still counts as a request.
    """
    form = _form(forms)
    if follows and form not in (None, "json"):
        raise UsageError(f"--{form} is made of what there is", "leave out -f")
    wanted = Filter(
        host=host,
        denied=denied,
        slow=None if slow is None else _length(slow),
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
            raise MoatError(f"run {found.name} has no record of its network")
        with TrafficReader(store.folder(found.id).database) as reader:
            _say_what_is_missing(reader)
            rows = reader.rows(wanted, time.time(), after=_start(reader, wanted, last))
            _write(_pieces(form, reader, rows, as_json="json" in forms))


def _form(forms: tuple[str, ...]) -> str | None:
    """What is printed. Sums may be JSON, too, and an archive is."""
    wanted = [form for form in dict.fromkeys(forms) if form != "json"]
    if len(wanted) > 1:
        raise UsageError(f"--{wanted[0]} and --{wanted[1]} are two outputs", "give one of them")
    return wanted[0] if wanted else "json" if forms else None


def _length(slow: str) -> float:
    try:
        return parse_duration(slow)
    except UsageError as error:
        raise UsageError(
            error.summary, "RUN goes before --slow, or give both: --slow=500ms"
        ) from error


def _moment(since: str) -> float:
    from moat.cli.logs import moment_of  # noqa: PLC0415  for --since alone

    return moment_of(since, time.time())


def _start(reader: TrafficReader, wanted: Filter, last: int | None) -> int:
    return 0 if last is None else reader.before_the_last(last, wanted, time.time())


# --- what is printed ---


def _pieces(
    form: str | None, reader: TrafficReader, rows: Iterable[Row], *, as_json: bool
) -> Iterable[str]:
    if form == "har":
        from moat.egress.traffic import har  # noqa: PLC0415  for --har alone

        kept = ((row, reader.capture(row.id)) for row in rows if row.is_http)
        return har.document(har.entry(row, captured) for row, captured in kept)
    if form in ("summary", "llm"):
        return _sums(form, rows, as_json=as_json)
    header, draw = _drawing(form)
    return chain([header], map(draw, rows))


def _sums(form: str, rows: Iterable[Row], *, as_json: bool) -> Iterable[str]:
    from moat.cli import traced  # noqa: PLC0415  as above
    from moat.egress.traffic import totals  # noqa: PLC0415

    hosts = totals.by_host(rows) if form == "summary" else []
    models = totals.by_model(rows) if form == "llm" else []
    if as_json:
        return (_as_line(each.as_json()) for each in (*hosts, *models))
    width = traced.terminal_width()
    return [traced.hosts(hosts, width) if form == "summary" else traced.models(models, width)]


def _drawing(form: str | None) -> tuple[str, Callable[[Row], str]]:
    """What comes first, and how a row becomes a line."""
    if form == "json":
        return "", _json_line
    from moat.cli import traced  # noqa: PLC0415  for people alone

    lines = traced.Lines.for_stdout()
    return lines.header, lines.line


def _json_line(row: Row) -> str:
    return _as_line(row.as_json())


def _as_line(found: dict[str, Any]) -> str:
    # The one control character that `json` leaves as it is.
    return json.dumps(found).replace("\x7f", "\\u007f") + "\n"


def _write(pieces: Iterable[str]) -> None:
    waiting: list[str] = []
    for piece in pieces:
        waiting.append(piece)
        if len(waiting) == _FLUSHED:
            sys.stdout.write("".join(waiting))
            waiting.clear()
    sys.stdout.write("".join(waiting))
    sys.stdout.flush()


def _say_what_is_missing(reader: TrafficReader) -> None:
    counts = reader.counts()
    if counts["dropped"]:
        sys.stderr.write(f"moat: the oldest {counts['dropped']:,} entries made room for others\n")
    if counts["lost"]:
        sys.stderr.write(f"moat: {counts['lost']:,} entries could not be written in time\n")


# --- what comes ---


def _follow(store: Store, run: Run, wanted: Filter, last: int | None, form: str | None) -> None:
    from moat.client.watch.follow import follow  # noqa: PLC0415  for -f alone

    header, draw = _drawing(form)
    _write([header])
    with ExitStack() as held:
        follower = None
        for _ in follow(store, run):
            if follower is None and is_readable(store.folder(run.id).database):
                reader = held.enter_context(TrafficReader(store.folder(run.id).database))
                _say_what_is_missing(reader)
                follower = Follower(reader, wanted, after=_start(reader, wanted, last))
            if follower is not None:
                _write(map(draw, follower.news(time.time())))
        if follower is not None:
            _write(map(draw, follower.rest(time.time())))

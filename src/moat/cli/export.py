"""`moat export RUN -o FILE`."""

from __future__ import annotations

import sys
import time
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from moat.cli.arguments import session_argument
from moat.cli.found import find_session
from moat.cli.new_file import new_file, write_new
from moat.errors import MoatError, RunNotActiveError, UsageError
from moat.paths import MAIN_SESSION
from moat.runs import lock, session_records
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moat.runs.store import Run
    from moat.telemetry.spans import Span

_LEAVE_S: Final = 10.0
"""A supervisor of a run that has just ended writes the rest within this time."""


def _form(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", "forms", flag_value=name, multiple=True, help=text)


@click.command("export")
@session_argument(required=True)
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it.",
)
@_form("zip", "Everything of a run that has ended, for moat import (the default).")
@_form("cast", "The output of a session, as an asciicast v3 recording.")
@_form("har", "The requests, as an HTTP archive.")
@click.option(
    "--otlp",
    "endpoint",
    metavar="[ENDPOINT]",
    is_flag=False,
    flag_value="",
    help="Spans, sent to an OpenTelemetry collector, or with -o written as OTLP's JSON.",
)
def command(run: str, *, file: Path | None, forms: tuple[str, ...], endpoint: str | None) -> None:
    """Write a run into FILE, which must be new, or send its spans to a collector.

    A zip file has the specification, the output of all sessions, the record of requests, the events, the
    audit log, and what the run has changed in its workspace. Nothing of a credential is in it: values of
    variables and passwords of proxies are masked. What programs have printed is in it as it is.
    Snapshots are not in it, nor is the sandbox's home. moat import puts it into another store.
    """
    form = _chosen(forms if endpoint is None else (*forms, "otlp"))
    if endpoint and file is not None:
        raise UsageError("spans are sent or written", "Give an endpoint, or -o FILE")
    with Store() as store:
        found, session = find_session(store, run)
        if endpoint:
            _send(store, found, endpoint)
            return
        if file is None:
            raise UsageError("nobody has said where to write it", "Give -o FILE")
        if form == "cast":
            from moat.cli.replay import cast_of  # noqa: PLC0415  for --cast alone

            recorded = session_records.find(store, found, session)
            write_new(file, (line.encode() for line in cast_of(store, recorded)))
        elif session != MAIN_SESSION:
            raise UsageError(f"--{form} is about the whole run", "Leave out the session")
        elif form == "har":
            write_new(file, _har(store, found))
        elif form == "otlp":
            write_new(file, _spans_as_json(store, found))
        else:
            _write_zip(store, found, file)
    sys.stdout.write(f"{found.name}: exported to {file}\n")


def _chosen(forms: tuple[str, ...]) -> str:
    wanted = list(dict.fromkeys(forms)) or ["zip"]
    if len(wanted) > 1:
        raise UsageError(f"--{wanted[0]} and --{wanted[1]} exclude each other", "Give one of them")
    return wanted[0]


def _write_zip(store: Store, run: Run, file: Path) -> None:
    from moat.archive import writing  # noqa: PLC0415  loads slowly

    if not run.ended:
        raise RunNotActiveError(
            f"run {run.name} is {run.state}: only one that has ended can be exported as a whole",
            "Stop it first, or export what there is: --cast, --har, moat audit export",
        )
    try:
        lock.wait_until_free(store.folder(run.id).supervisor_lock, _LEAVE_S)
    except FileNotFoundError:
        pass  # it was imported, and had no supervisor here
    except TimeoutError:
        raise MoatError(f"the supervisor of {run.name} is still writing", "Try again") from None
    with new_file(file) as output:
        masked = writing.write(output, store, run)
    if masked:
        sys.stderr.write("moat: values of variables, and passwords of proxies, were masked\n")


def _spans(store: Store, run: Run) -> Iterator[list[Span]]:
    """Yield all spans of a run so far, in batches."""
    from moat.telemetry.otlp import BATCH  # noqa: PLC0415  for --otlp alone
    from moat.telemetry.record import Record  # noqa: PLC0415

    with Record(store, run) as record:
        spans = chain(record.news(), record.end(run) if run.ended else ())
        while batch := list(islice(spans, BATCH)):
            yield batch


def _spans_as_json(store: Store, run: Run) -> Iterator[bytes]:
    from moat.telemetry import otlp, spans  # noqa: PLC0415  for --otlp alone

    shared = spans.resource(store.spec(run.id))
    for batch in _spans(store, run):
        yield otlp.as_json(batch, shared).encode() + b"\n"


def _send(store: Store, run: Run, endpoint: str) -> None:
    from moat.telemetry import otlp, spans  # noqa: PLC0415  for --otlp alone

    sender, sent = otlp.Sender(endpoint, {}, spans.resource(store.spec(run.id))), 0
    try:
        for batch in _spans(store, run):
            if not sender.send(batch):
                raise MoatError(
                    f"{endpoint} has not taken the spans, after {sent} of them",
                    "See whether a collector listens there, for OTLP over HTTP",
                )
            sent += len(batch)
    finally:
        sender.close()
    sys.stdout.write(f"{run.name}: {sent} spans sent to {endpoint}\n")


def _har(store: Store, run: Run) -> Iterator[bytes]:
    from moat.egress.traffic import har  # noqa: PLC0415  for --har alone
    from moat.egress.traffic.reader import Filter, TrafficReader, is_readable  # noqa: PLC0415

    database = store.folder(run.id).database
    if not is_readable(database):
        raise MoatError(f"run {run.name} has no record of its network traffic")
    with TrafficReader(database) as reader:
        rows = (row for row in reader.rows(Filter(), time.time()) if row.is_http)
        for piece in har.document(har.entry(*each) for each in reader.captured(rows)):
            yield piece.encode()

"""`moat logs [RUN]`."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import find, run_argument
from moat.client import logs
from moat.errors import UsageError
from moat.runs.store import Store
from moat.session.journal import JournalReader
from moat.session.journal_index import Stream
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.runs.store import Run

_FDS = {Stream.STDOUT: 1, Stream.STDERR: 2}


@click.command("logs")
@run_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-n", "--lines", "count", type=click.IntRange(min=0), help="The last so many lines.")
@click.option("--since", metavar="TIME", help="From then on: 10m (ago), or an RFC 3339 time.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time (UTC).")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="This stream alone.")
@click.option("--session", default="main", help="Of a moat exec: exec-1, exec-2, ...")
def command(  # noqa: PLR0913  an option each
    run: str | None,
    *,
    follow: bool,
    count: int | None,
    since: str | None,
    timestamps: bool,
    stream: str | None,
    session: str,
) -> int:
    """Print what a run has written, to the last byte; stderr goes to stderr."""
    streams = [each for each in Stream if stream in (None, logs.NAMES[each])]
    with Store() as store:
        found = find(store, run)
        journal = JournalReader(store.folder(found.id).journal / session)
        if not journal.segments() and session != "main":
            raise UsageError(f"run {found.name} has no session {session!r}")
        ends = {each: journal.end(each) for each in Stream}
        if since is None and count is None and not timestamps:
            _copy(journal, streams)
        else:
            _select(journal, streams, count=count, since=since, timestamps=timestamps)
        if follow and not found.ended:
            return _follow(store, found, ends, streams, timestamps=timestamps)
    return 0


def _copy(journal: JournalReader, streams: list[Stream]) -> None:
    """Everything, in the order of the index where there are two streams."""
    if len(streams) == 1 or not journal.end(Stream.STDERR):
        for stream in streams:
            for _, data in journal.chunks(stream, size=1 << 18):
                _write(stream, data)
        return
    for _, data, stream in logs.recorded(journal):
        _write(stream, data)


def _select(
    journal: JournalReader,
    streams: list[Stream],
    *,
    count: int | None,
    since: str | None,
    timestamps: bool,
) -> None:
    first = 0.0 if since is None else _time(since)
    chosen: Iterable[tuple[float, bytes, Stream]] = (
        line
        for line in logs.lines(logs.recorded(journal))
        if line[2] in streams and line[0] >= first
    )
    if count is not None:
        chosen = deque(chosen, maxlen=count)
    for when, line, stream in chosen:
        _write(stream, (logs.timestamp(when) if timestamps else b"") + line)


def _follow(
    store: Store, run: Run, ends: dict[Stream, int], streams: list[Stream], *, timestamps: bool
) -> int:
    from moat.client.attach import follow  # noqa: PLC0415  for -f alone

    by_name = {name: stream for stream, name in logs.NAMES.items()}
    at_line_start = dict.fromkeys(Stream, True)

    def write(name: str, data: bytes) -> None:
        stream = by_name[name]
        if stream not in streams:
            return
        if timestamps:
            stamp = logs.timestamp(time.time())
            first = stamp if at_line_start[stream] else b""
            at_line_start[stream] = data.endswith(b"\n")
            body = data[:-1] if at_line_start[stream] else data
            end = b"\n" if at_line_start[stream] else b""
            data = first + body.replace(b"\n", b"\n" + stamp) + end
        _write(stream, data)

    return follow(store, run, {logs.NAMES[each]: ends[each] for each in Stream}, write)


def _write(stream: Stream, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_FDS[stream], view) :]


def _time(text: str) -> float:
    """Seconds since the epoch, of a time or of so long ago."""
    if text[:4].isdigit() and "-" in text:
        from datetime import datetime  # noqa: PLC0415  rarely given

        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            raise UsageError(
                f"{text!r} is not a time", "Write 10m, or 2026-01-31T12:00:00Z"
            ) from None
    return time.time() - parse_duration(text)

"""`moat logs [RUN]`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from moat.cli.found import find_session
from moat.client.display.output import STDERR, STDOUT, ProgramOutput
from moat.errors import UsageError
from moat.paths import MAIN_SESSION
from moat.runs.store import Store
from moat.session.journal import transcript
from moat.session.journal.events import Event, Lines, Written
from moat.session.journal.index import Stream
from moat.session.journal.reader import JournalReader
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.runs.store import Run

STREAMS: Final = {"stdout": Stream.STDOUT, "stderr": Stream.STDERR}
FDS: Final = {Stream.STDOUT: STDOUT, Stream.STDERR: STDERR}


def carry_out(  # noqa: PLR0913  an option each
    *,
    run: str | None = None,
    follows: bool = False,
    count: int | None = None,
    since: str | None = None,
    timestamps: bool = False,
    stream: str | None = None,
    session: str | None = None,
    service: str | None = None,
) -> None:
    if service is not None:
        if follows or since or timestamps or stream or session:
            raise UsageError("--service goes with --lines alone", f"moat logs --service {service}")
        from moat.cli.service_logs import print_service_log  # noqa: PLC0415  asks an engine

        print_service_log(run, service, count)
        return
    moment = None if since is None else moment_of(since, time.time())
    with Store() as store:
        found, name = find_session(store, run, session)
        reader = JournalReader(store.folder(found.id).journal / name)
        with ProgramOutput(tty=_has_tty(store, found, name)) as output:
            printer = Printer(output, timestamps=timestamps, only=STREAMS.get(stream or ""))
            start = _start(reader, count, moment)
            end = transcript.ends(reader)
            printer.print_all(transcript.events(reader, start, end))
            if follows:
                _follow(store, found, name, reader, printer, end)
            printer.print_unfinished()


def moment_of(text: str, now: float) -> float:
    """Return a time in seconds since the epoch.

    `text` is an RFC 3339 time, local without a zone, or a duration before `now`. Raise `UsageError`.
    """
    from datetime import datetime  # noqa: PLC0415  not for every `moat logs`

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        pass  # not a time, so it must be a duration
    try:
        return now - parse_duration(text)
    except UsageError:
        raise UsageError(
            f"--since {text!r} is neither a time nor a duration",
            "Write it like 10m, 1h30m or 2026-01-31T12:00:00Z",
        ) from None


def _start(reader: JournalReader, count: int | None, moment: float | None) -> transcript.Offsets:
    start = transcript.starts(reader)
    if count is not None:
        start = transcript.last_lines(reader, count)
    if moment is not None:
        late = transcript.since(reader, moment)
        start = {stream: max(start[stream], late[stream]) for stream in Stream}
    return start


def _has_tty(store: Store, run: Run, session: str) -> bool:
    """Return whether the session has a TTY. Raise `UsageError` where there is no such session."""
    if session == MAIN_SESSION:
        return run.tty
    from moat.runs import session_records  # noqa: PLC0415  most logs are of the main session

    return session_records.find(store, run, session).tty


def _follow(
    store: Store,
    run: Run,
    session: str,
    reader: JournalReader,
    printer: Printer,
    at: transcript.Offsets,
) -> None:
    from moat.client.watch.output import follow_output  # noqa: PLC0415  for -f alone

    for stream, data in follow_output(store, run, at, session):
        printer.print(Written(time.time(), stream, data))
    # A run that ended before it could be followed has the rest in its journal.
    printer.print_all(transcript.events(reader, at, transcript.ends(reader)))


class Printer:
    """Prints output, of one stream only or with timestamps where that is asked for."""

    def __init__(self, output: ProgramOutput, *, timestamps: bool, only: Stream | None) -> None:
        self._output = output
        self._only = only
        self._lines = Lines() if timestamps else None
        self._within_line: set[Stream] = set()

    def print_all(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Written):
                self.print(event)

    def print(self, piece: Written) -> None:
        if self._only not in (None, piece.stream):
            return
        if self._lines is None:
            self._output.write(FDS[piece.stream], piece.data)
        else:
            for line in self._lines.feed(piece):
                self._print_line(line)

    def print_unfinished(self) -> None:
        """Print the lines that have been held back until their end."""
        for line in self._lines.rest() if self._lines is not None else ():
            self._print_line(line)

    def _print_line(self, line: Written) -> None:
        """Print a line with its time, or the next part of a long line without."""
        stamp = b"" if line.stream in self._within_line else timestamp(line.time)
        self._output.write(FDS[line.stream], stamp + line.data)
        if line.data.endswith(b"\n"):
            self._within_line.discard(line.stream)
        else:
            self._within_line.add(line.stream)


def timestamp(seconds: float) -> bytes:
    """Return a time as RFC 3339 in UTC, with milliseconds and a space behind."""
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03}Z ".encode()

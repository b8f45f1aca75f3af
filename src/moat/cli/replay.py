"""`moat replay RUN`."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from moat.cli.arguments import session_argument, session_option
from moat.cli.found import find_session
from moat.cli.plain.logs import FDS
from moat.client.display.output import ProgramOutput
from moat.runs import session_records
from moat.runs.store import Store
from moat.session.journal import transcript
from moat.session.journal.events import Written
from moat.session.journal.index import Stream
from moat.session.journal.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from moat.runs.session_records import Session
    from moat.runs.store import Run
    from moat.session.journal.events import Event

# Nobody wants to wait through a night.
LONGEST_PAUSE_S: Final = 3.0


@click.command("replay")
@session_argument(required=True)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=1.0,
    help="Speed: 2 is twice as fast, 0 is all at once (default: 1).",
)
@click.option("--cast", is_flag=True, help="Write an asciicast v3 recording to stdout instead.")
@session_option
def command(run: str, *, speed: float, cast: bool, session: str | None) -> None:
    """Play back the output of a run at its own pace, with pauses of at most 3 seconds.

    Ctrl-C ends the replay.
    """
    with Store() as store:
        known = session_records.find(store, *find_session(store, run, session))
        reader, events = _output(store, known)
        if cast:
            sys.stdout.writelines(_cast(store, known, reader, events))
        else:
            with _ended_by_signals(), ProgramOutput(tty=known.tty) as output:
                _play(events, speed, output)


def cast_of(store: Store, session: Session) -> Iterator[str]:
    """Yield the lines of an asciicast v3 recording of a session."""
    return _cast(store, session, *_output(store, session))


def _output(store: Store, session: Session) -> tuple[JournalReader, Iterator[Event]]:
    reader = JournalReader(store.folder(session.run.id).journal / session.name)
    events = transcript.events(reader, transcript.starts(reader), transcript.ends(reader))
    if session.tty and reader.start(Stream.STDOUT):
        events = _opened(store, session.run, reader, events)
    return reader, events


def _opened(
    store: Store, run: Run, reader: JournalReader, events: Iterable[Event]
) -> Generator[Event]:
    """Put before the output of a trimmed journal what shows the screen that it was written over."""
    from moat.session.rebuild import opening  # noqa: PLC0415  loads the emulator

    before = opening(reader, store.spec(run.id).scrollback)
    for event in events:
        if before and isinstance(event, Written):
            yield Written(event.time, Stream.STDOUT, before)
            before = b""
        yield event


def _play(events: Iterable[Event], speed: float, output: ProgramOutput) -> None:
    # An event that never comes: unlike a sleep, the wait for it ends at once with Ctrl-C.
    never = threading.Event()
    before: float | None = None
    for event in events:
        if not isinstance(event, Written):
            continue
        if speed and before is not None and event.time > before:
            never.wait(min(LONGEST_PAUSE_S, (event.time - before) / speed))
        before = event.time
        output.write(FDS[event.stream], event.data)


def _cast(
    store: Store, session: Session, reader: JournalReader, events: Iterable[Event]
) -> Iterator[str]:
    from moat.session.journal import asciicast  # noqa: PLC0415  for --cast alone

    segments = reader.segments()
    recording = asciicast.Recording(
        size=segments[0].header.size if segments else store.spec(session.run.id).size,
        command=" ".join(session.command),
        title=session.reference,
        exit_code=session.exit_code,
    )
    return asciicast.lines(recording, events)


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """Exit on SIGTERM and SIGHUP, so that the terminal is given back then, too."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {each: signal.signal(each, leave) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""`moat replay RUN`."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import RunReference
from moat.client import logs
from moat.runs.store import Store
from moat.session.asciicast import events, lines
from moat.session.journal import JournalReader
from moat.session.journal_index import Resized, Stream
from moat.spec import TerminalSize
from moat.wire.terminal_reset import reset_sequence

if TYPE_CHECKING:
    from moat.runs.store import Run

# Nobody wants to sit through a night.
LONGEST_PAUSE_S = 3.0


@click.command("replay")
@click.argument("run", type=RunReference(), metavar="RUN")
@click.option(
    "--speed", type=click.FloatRange(min=0), default=1.0, help="2 is twice as fast; 0: at once."
)
@click.option("--cast", is_flag=True, help="Write an asciicast v3 recording to stdout instead.")
@click.option("--session", default="main", help="Of a moat exec: exec-1, exec-2, ...")
def command(run: str, *, speed: float, cast: bool, session: str) -> None:
    """Play a run's output back in its own time; pauses are cut to 3 seconds."""
    with Store() as store:
        found = store.find(run)
        journal = JournalReader(store.folder(found.id).journal / session)
        if cast:
            _record(found, journal)
        else:
            _play(journal, speed, tty=found.tty)


def _play(journal: JournalReader, speed: float, *, tty: bool) -> None:
    # An event that never comes: waiting for it, unlike sleeping, is ended by Ctrl-C at once.
    never = threading.Event()
    before: float | None = None
    try:
        for when, data, stream in logs.recorded(journal):
            if before is not None and speed:
                never.wait(min(LONGEST_PAUSE_S, max(0.0, when - before) / speed))
            before = when
            view = memoryview(data)
            while view:
                view = view[os.write(1 if stream is Stream.STDOUT else 2, view) :]
    finally:
        if tty and os.isatty(1):
            os.write(1, reset_sequence(alternate=True))


def _record(run: Run, journal: JournalReader) -> None:
    sizes = [record.size for record in journal.records() if isinstance(record, Resized)]
    header = {"title": run.name, "command": " ".join(run.command)}

    def read(stream: Stream, start: int, end: int) -> bytes:
        return b"".join(
            data[: max(0, end - offset)]
            for offset, data in journal.chunks(stream, start)
            if offset < end
        )

    recorded = ((when, what) for when, what, _ in events(journal.records(), read))
    for line in lines(header, sizes[0] if sizes else TerminalSize(), recorded):
        sys.stdout.write(f"{line}\n")

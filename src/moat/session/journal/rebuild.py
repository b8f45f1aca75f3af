"""A screen from its journal: for a new supervisor, and for runs that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.session.journal.index import Resized, Stream
from moat.session.journal.journal import JournalReader
from moat.session.terminal.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    from moat.spec import TerminalSize


def screen_of(folder: Path, scrollback: int, size: TerminalSize) -> Screen:
    """The screen as it was after the last byte in the journal; empty, of `size`, without one.

    The program's queries among the output were answered when they came: what the emulator answers
    now is thrown away.
    """
    reader = JournalReader(folder)
    sizes = [record for record in reader.records() if isinstance(record, Resized)]
    screen = Screen(sizes[0].size if sizes else size, scrollback)
    for offset, data in reader.chunks(Stream.STDOUT, size=1 << 20):
        start = offset
        for change in sizes:
            if start <= change.at < offset + len(data):
                screen.feed(data[start - offset : change.at - offset])
                screen.resize(change.size)
                start = change.at
        screen.feed(data[start - offset :])
    if sizes:
        screen.resize(sizes[-1].size)
    screen.take_replies()
    return screen

"""The screen of a session, made again from its journal.

A new supervisor needs it, and so does whoever looks at a run that has ended. It stands above
`session.journal` and `session.terminal`, which know nothing of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.session.journal.index import Resized, Stream
from moat.session.journal.journal import JournalReader
from moat.session.terminal.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    from moat.spec import TerminalSize

_CHUNK_BYTES = 1 << 20


def rebuild_screen(folder: Path, scrollback: int, size: TerminalSize) -> Screen:
    """Return the screen as it was after the last byte in the journal below `folder`.

    Without a journal the screen is empty and has `size`. The program's queries among the output were
    answered when they came, so the emulator's answers of now are thrown away.
    """
    reader = JournalReader(folder)
    sizes = [record for record in reader.records() if isinstance(record, Resized)]
    screen = Screen(sizes[0].size if sizes else size, scrollback)
    for offset, data in reader.chunks(Stream.STDOUT, size=_CHUNK_BYTES):
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

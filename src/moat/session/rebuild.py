"""The screen of a session, made again from its journal.

A new supervisor needs it, and so does whoever looks at a run that has ended. It stands above
`session.journal` and `session.terminal`, which know nothing of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.session.journal.index import Resized, Stream
from moat.session.journal.reader import JournalReader
from moat.session.terminal.ghostty_abi import GhosttyError
from moat.session.terminal.screen import Screen
from moat.session.terminal.scrollback import SCROLLBACK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from moat.session.journal.reader import Segment
    from moat.spec import TerminalSize

_CHUNK_BYTES = 1 << 20


def rebuild_screen(
    folder: Path, scrollback: int, size: TerminalSize, scrollback_bytes: int = SCROLLBACK_BYTES
) -> Screen:
    """Return the screen as it was after the last byte in the journal below `folder`.

    It goes on from the newest checkpoint, or begins with the oldest byte. Without a journal the screen
    is empty and has `size`. The program's queries among the output were answered when they came, so
    the emulator's answers of now are thrown away.
    """
    reader = JournalReader(folder)
    segments = reader.segments()
    for segment in reversed(segments):
        screen = _kept(reader, segment, scrollback, scrollback_bytes)
        if screen is not None:
            start = segment.header.stdout
            break
    else:
        start = reader.start(Stream.STDOUT)
        first = segments[0].header.size if segments else size
        screen = Screen(first, scrollback, scrollback_bytes)
    _feed(screen, reader, start)
    screen.take_replies()
    return screen


def screen_at_start(reader: JournalReader, scrollback: int) -> Screen | None:
    """Return the screen that the journal's oldest output was written over, if it was kept.

    Output has to have been trimmed before it: an untrimmed journal begins with an empty screen.
    """
    segments = reader.segments()
    return _kept(reader, segments[0], scrollback, SCROLLBACK_BYTES) if segments else None


def _kept(
    reader: JournalReader, segment: Segment, scrollback: int, scrollback_bytes: int
) -> Screen | None:
    """Return the screen that was kept with the segment, or `None` if that can't be used."""
    state = reader.checkpoint(segment)
    if state is None:
        return None
    try:
        screen = Screen.from_snapshot(state, scrollback, scrollback_bytes)
    except GhosttyError:
        return None  # another release of the emulator has written it
    if screen.size != segment.header.size:
        screen.close()
        return None
    return screen


def _feed(screen: Screen, reader: JournalReader, start: int) -> None:
    """Let the screen take all output from `start` on, and the changes of its size between."""
    changes = [each for each in reader.records({Stream.STDOUT: start}) if isinstance(each, Resized)]
    due = iter(changes)
    change = next(due, None)
    for offset, data in reader.chunks(Stream.STDOUT, start, _CHUNK_BYTES):
        at = offset
        while change is not None and change.at < offset + len(data):
            screen.feed(data[at - offset : change.at - offset])
            screen.resize(change.size)
            at = max(at, change.at)
            change = next(due, None)
        screen.feed(data[at - offset :])
    if changes:
        screen.resize(changes[-1].size)

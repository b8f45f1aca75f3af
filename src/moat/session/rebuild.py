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
    for segment, state in reader.checkpoints():
        screen = _made_from(segment, state, scrollback, scrollback_bytes)
        if screen is not None:
            start = segment.header.stdout
            break
    else:
        oldest = next(iter(reader.segments()), None)
        start = 0 if oldest is None else oldest.header.stdout
        screen = Screen(
            size if oldest is None else oldest.header.size, scrollback, scrollback_bytes
        )
    _feed(screen, reader, start)
    screen.take_replies()
    return screen


def opening(reader: JournalReader, scrollback: int) -> bytes:
    """Return the bytes that show the screen over which the journal's oldest output was written.

    Return none for an untrimmed journal, which begins with an empty screen, and where the checkpoint
    there can't be used.
    """
    segments = reader.segments()
    if not segments or not segments[0].header.stdout:
        return b""
    state = reader.checkpoint(segments[0])
    if state is None:
        return b""
    screen = _made_from(segments[0], state, scrollback, SCROLLBACK_BYTES)
    if screen is None:
        return b""
    try:
        return screen.restore()
    finally:
        screen.close()


def _made_from(
    segment: Segment, state: bytes, scrollback: int, scrollback_bytes: int
) -> Screen | None:
    """Return the screen that was kept with the segment, or `None` if that can't be used."""
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

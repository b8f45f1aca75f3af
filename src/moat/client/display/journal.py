"""The journal of a session that is over, on our standard output and error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.client.display.output import STDERR, STDOUT, write_all
from moat.session.journal.index import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moat.spec import RunSpec


def print_last_screen(journal: Path, spec: RunSpec) -> None:
    """Print the rows of the last screen, down to the last one that isn't blank."""
    from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  loads the emulator

    screen = rebuild_screen(journal, spec.scrollback, spec.size, spec.scrollback_memory)
    try:
        rows = screen.rows_vt(0, screen.size.columns, screen.size.rows)
    finally:
        screen.close()
    while rows and not rows[-1].strip():
        rows.pop()
    write_all(STDOUT, b"".join(row + b"\x1b[m\r\n" for row in rows))


def print_output(journal: Path, offsets: Mapping[int, int], tail: int) -> None:
    """Print stdout and stderr from `offsets` on; of one that is negative, the last `tail` lines."""
    from moat.session.journal.reader import JournalReader  # noqa: PLC0415  a last screen needs none

    reader = JournalReader(journal)
    for stream, fd in ((Stream.STDOUT, STDOUT), (Stream.STDERR, STDERR)):
        start = offsets[fd] if offsets[fd] >= 0 else reader.tail(stream, tail)
        for _, data in reader.chunks(stream, start):
            write_all(fd, data)

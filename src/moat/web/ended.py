"""The end of a session that is over, as bytes for a terminal that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moat.paths import MAIN_SESSION
from moat.session.journal.index import Stream
from moat.session.journal.reader import JournalReader
from moat.session.terminal.filter import OutputFilter, OutputPolicy
from moat.session.terminal.reset import CANCEL, reset_sequence

if TYPE_CHECKING:
    from pathlib import Path

    from moat.runs.store import Run, Store
    from moat.spec import RunSpec, TerminalSize

_TAIL_BYTES: Final = 1 << 20
"""Bytes of the output of a run without a terminal that are shown, of each stream."""
_PIECE_BYTES: Final = 1 << 16
_NO_CURSOR: Final = b"\x1b[?25l"


class EndedOutput(NamedTuple):
    run: Run
    pieces: list[bytes]
    size: TerminalSize | None
    """The size of the run's terminal, if it had one."""


def output(store: Store, run_id: str) -> EndedOutput:
    """Return the last screen with its scrollback, or the end of what was written without a terminal."""
    run, spec = store.get(run_id), store.spec(run_id)
    journal = store.folder(run_id).journal / MAIN_SESSION
    if run.tty:
        size, screen = _last_screen(journal, spec)
        return EndedOutput(run, _pieces(screen), size)
    return EndedOutput(run, _pieces(_last_lines(journal, spec.scrollback)), None)


def _last_screen(journal: Path, spec: RunSpec) -> tuple[TerminalSize, bytes]:
    from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  loads the emulator

    screen = rebuild_screen(journal, spec.scrollback, spec.size, spec.scrollback_memory)
    try:
        # Nothing reads a mouse or a focus any more, and the user may want to select text.
        modes_off = CANCEL + reset_sequence(alternate=False) + _NO_CURSOR
        return screen.size, screen.restore() + modes_off
    finally:
        screen.close()


def _last_lines(journal: Path, lines: int) -> bytes:
    reader = JournalReader(journal)
    shown: list[bytes] = []
    for stream in Stream:
        start = max(reader.tail(stream, lines), reader.end(stream) - _TAIL_BYTES)
        filtered = OutputFilter(OutputPolicy(notifications=False))
        shown += [filtered.feed(data) for _, data in reader.chunks(stream, start)]
    return b"".join(shown)


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES)]

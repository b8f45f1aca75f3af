"""A session on a journal of its own, with a scripted program and time that the test lets pass."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from tests.manual_loop import ManualLoop
from tests.scripted_io import ScriptedIO

from moat.session.journal.journal import Journal
from moat.session.journal.reader import JournalReader
from moat.session.rebuild import rebuild_screen
from moat.session.session import Session
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moat.session.journal.index import Stream

SIZE = TerminalSize(20, 6)
SCROLLBACK = 100


class Rig:
    """A session, its program, and all that it reports; implements `SessionListener`."""

    def __init__(self, folder: Path, *, tty: bool, limit: int = 1 << 40) -> None:
        self.loop = ManualLoop()
        self.folder = folder
        self.reports: list[str] = []
        self.io = ScriptedIO(tty=tty)
        self._tty = tty
        self._limit = limit
        self.session = self._open()

    def _open(self) -> Session:
        journal = Journal(self.folder, SIZE, self._limit)
        screen = rebuild_screen(self.folder, SCROLLBACK, SIZE) if self._tty else None
        return Session("main", journal, screen, self.loop, self)

    def connect(self) -> None:
        self.session.connect(self.io)

    def another_supervisor(self) -> None:
        """Replace the session by a new one over the same journal and the same program."""
        self.session.close()
        self.io.closed = False
        self.session = self._open()

    def journal(self, stream: Stream) -> bytes:
        return b"".join(data for _, data in JournalReader(self.folder).chunks(stream))

    # --- what the session reports ---

    def session_wrote(self, session: Session) -> None:
        assert session is self.session
        self.reports.append("wrote")

    def session_typed(self, session: Session) -> None:
        assert session is self.session

    def session_notified(self, session: Session, text: str) -> None:
        assert session is self.session
        self.reports.append(f"notified {text!r}")

    def session_reported(self, session: Session, status: str) -> None:
        assert session is self.session
        self.reports.append(f"reported {status!r}")

    def session_drained(self, session: Session) -> None:
        assert session.drained
        self.reports.append("drained")

    def session_disk_full(self, session: Session, *, full: bool) -> None:
        assert session is self.session
        self.reports.append("disk full" if full else "disk has room")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Make sessions that are closed in the end; each has a folder of its own."""
    made: list[Rig] = []
    numbers = itertools.count()

    def make(*, tty: bool = False, limit: int = 1 << 40, connect: bool = True) -> Rig:
        made.append(Rig(tmp_path / f"journal-{next(numbers)}", tty=tty, limit=limit))
        if connect:
            made[-1].connect()
        return made[-1]

    yield make
    for rig in made:
        rig.session.close()

"""The sessions of a run: its own command's, and one for each `moat exec`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moat.errors import RunNotActiveError
from moat.paths import MAIN_SESSION
from moat.runs import session_records
from moat.session.journal.journal import Journal
from moat.session.session import Session

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from moat.paths import RunFolder
    from moat.session.clipboard import Clipboard
    from moat.session.session import SessionListener
    from moat.session.terminal.filter_strings import OutputPolicy
    from moat.session.terminal.screen import Screen
    from moat.spec import RunSpec
    from moat.supervisor.viewers import Viewers

# Ended exec sessions are kept for clients that are about to attach, but no more than so many.
KEPT_SESSIONS: Final = 8


class Sessions:
    """Makes sessions and keeps them by name."""

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        loop: asyncio.AbstractEventLoop,
        listener: SessionListener,
        clipboard: Clipboard,
    ) -> None:
        self._clipboard = clipboard
        self._spec = spec
        self._folder = folder
        self._loop = loop
        self._listener = listener
        self._sessions: dict[str, Session] = {}
        self.on_segment_closed: Callable[[str], None] = lambda _session: None
        """Called with the name of a session whose journal has one more final segment."""

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def get(self, name: str) -> Session | None:
        return self._sessions.get(name)

    def named(self, name: str) -> Session:
        """Return a session. Raises `RunNotActiveError`."""
        session = self.get(name)
        if session is None:
            raise RunNotActiveError(f"there is no session {name}, or not any more")
        return session

    def make(self, name: str, *, tty: bool) -> Session:
        """Return a session that is not listed yet, with its journal as an earlier supervisor left it.

        Raises `OSError`.
        """
        journal = Journal(self._folder.journal / name, self._spec.size, self._spec.journal_limit)
        journal.on_closed = partial(self.on_segment_closed, name)
        screen = self._screen(journal) if tty else None
        return Session(
            name,
            journal,
            screen,
            self._loop,
            self._listener,
            policy=_policy(self._spec) if tty else None,
            clipboard=self._clipboard,
        )

    def _screen(self, journal: Journal) -> Screen:
        from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  runs without a TTY need none

        spec = self._spec
        screen = rebuild_screen(
            journal.reader.folder, spec.scrollback, spec.size, spec.scrollback_memory
        )
        screen.program = spec.term_program
        return screen

    def add(self, session: Session) -> None:
        self._sessions[session.name] = session

    def next_exec_name(self) -> str:
        """Return a name that no session of this run has ever had."""
        recorded = (_number(path.name) for path in self._folder.journal.iterdir())
        return f"exec-{1 + max(recorded, default=0)}"

    def takes_input(self, session: Session) -> bool:
        if session.name == MAIN_SESSION:
            return self._spec.interactive
        return session_records.read(self._folder, session.name).interactive

    def drop_old(self, viewers: Viewers) -> None:
        """Forget ended sessions that nobody watches, but for the newest few."""
        watched = {viewer.session for viewer in viewers.attached}
        for session in tuple(self._sessions.values())[:-KEPT_SESSIONS]:
            if session.drained and session.name != MAIN_SESSION and session not in watched:
                del self._sessions[session.name]
                session.close()

    def close(self) -> None:
        """Release all of them; their programs go on."""
        for session in self._sessions.values():
            session.close()


def _policy(spec: RunSpec) -> OutputPolicy:
    from moat.session.terminal.filter_strings import OutputPolicy  # noqa: PLC0415  as above

    return OutputPolicy(notifications=spec.notifications, pictures=spec.pictures)


def _number(session: str) -> int:
    _, _, digits = session.partition("-")
    return int(digits) if digits.isdigit() else 0

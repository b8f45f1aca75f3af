"""A watch over a run, to tell whoever listens that it waits for its user.

An agent's screen is looked at once its output has been quiet for a moment, and now and then while it
goes on. So it costs little, however much a program writes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from moat.agents.waiting import MOST_LINES, Waiting
from moat.events import WaitingChanged
from moat.paths import MAIN_SESSION

if TYPE_CHECKING:
    import asyncio

    from moat.session.session import Session
    from moat.supervisor.context import RunContext

QUIET_S: Final = 0.5
"""Output that has stopped for this long is looked at: programs draw their screens in pieces."""
LATEST_S: Final = 2.0
"""Output that doesn't stop is looked at this often."""
MOST_REPORTS: Final = 60
WINDOW_S: Final = 60.0
"""No more than `MOST_REPORTS` changes are told in this time, for a hostile program changes its mind."""


class WaitWatch:
    """Follows the run's own command, and reports each change of what it waits for."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        agent = run.spec.agent
        self._rules = () if agent is None else agent.waiting
        self._waiting = Waiting(self._rules, run.state.waits_for)
        self.now = self._waiting.now
        """The wait that was told last; empty where the run waits for nobody."""
        self._look: asyncio.TimerHandle | None = None
        self._began = self._wrote = 0.0
        """Times of the first and the last output that was not looked at yet."""
        self._report_later: asyncio.TimerHandle | None = None
        self._reports: deque[float] = deque(maxlen=MOST_REPORTS)
        self._set_notice()

    def wrote(self, session: Session) -> None:
        """Look at the screen soon: there is new output, or the run was adopted."""
        if not self._rules or session.name != MAIN_SESSION:
            return
        self._wrote = self._run.loop.time()
        if self._look is None:
            self._began = self._wrote
            self._look = self._run.loop.call_later(QUIET_S, self._looked, session)

    def reported(self, session: Session, status: str) -> None:
        """Note a report of the program's status (OSC 7501)."""
        if session.name == MAIN_SESSION and self._waiting.reported(status):
            self._report()

    def notified(self, session: Session, text: str) -> None:
        """Note a notification, or a bell where `text` is empty."""
        if session.name == MAIN_SESSION and self._waiting.notified(text, self._run.loop.time()):
            self._report()

    def typed(self, session: Session) -> None:
        """Note that somebody has typed at a terminal."""
        if session.name == MAIN_SESSION and self._waiting.typed(self._run.loop.time()):
            self._report()

    def sent(self, session: Session) -> None:
        """Note that the program got other input (`moat send`)."""
        if session.name == MAIN_SESSION and self._waiting.typed():
            self._report()

    def close(self) -> None:
        """Report nothing any more."""
        for timer in (self._look, self._report_later):
            if timer is not None:
                timer.cancel()
        self._look = self._report_later = None
        self._rules = ()

    def _looked(self, session: Session) -> None:
        self._look = None
        now = self._run.loop.time()
        quiet = now - self._wrote >= QUIET_S
        if not quiet and now - self._began < LATEST_S:
            due = min(self._wrote + QUIET_S, self._began + LATEST_S)
            self._look = self._run.loop.call_at(due, self._looked, session)
            return
        if session.screen is None or session.drained:
            return
        lines = session.screen.last_lines(MOST_LINES)
        if self._waiting.looked(session.screen.title, lines, quiet=quiet):
            self._report()
        if not quiet:  # the end of this output must not be missed
            self._began = now
            self._look = self._run.loop.call_at(self._wrote + QUIET_S, self._looked, session)

    def _report(self) -> None:
        """Tell the change, unless too many were told: then tell later what holds by then."""
        if self._report_later is not None or self._waiting.now == self.now:
            return
        now = self._run.loop.time()
        if len(self._reports) == MOST_REPORTS and now - self._reports[0] < WINDOW_S:
            due = self._reports[0] + WINDOW_S
            self._report_later = self._run.loop.call_at(due, self._report_due)
            return
        self._reports.append(now)
        self.now = self._waiting.now
        self._run.state.save(waits_for=self.now)
        self._set_notice()
        self._run.notices.show(new=bool(self.now))
        self._run.emit(WaitingChanged(self.now))
        self._run.changes.notify()

    def _report_due(self) -> None:
        self._report_later = None
        self._report()

    def _set_notice(self) -> None:
        what = f"{self._run.spec.name} waits for you: {self.now}" if self.now else ""
        self._run.notices.waiting = what

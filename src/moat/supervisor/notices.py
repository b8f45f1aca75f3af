"""The lines of Moat's own that viewers see without having asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.paths import MAIN_SESSION

if TYPE_CHECKING:
    from moat.supervisor.viewers import Viewers


class Notices:
    """The lines for viewers: requests wait for an answer, or the run waits for its user."""

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self.question = ""
        """The line about requests that wait; empty where none does."""
        self.service = ""
        """The line about a service that has just ended."""
        self.waiting = ""
        """The line about the run's own command. Who watches that sees it without being told."""

    def of(self, session: str) -> str:
        """Return the line for viewers of a session; empty where there is none."""
        return self.question or self.service or (self.waiting if session != MAIN_SESSION else "")

    def show(self, *, new: bool) -> None:
        """Show each viewer its line in the place of the last one; with `new` it says more than that."""
        for viewer in self._viewers.attached:
            session = MAIN_SESSION if viewer.session is None else viewer.session.name
            viewer.notice(self.of(session), new=new)

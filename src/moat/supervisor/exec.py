"""Further commands in a running sandbox (`moat exec`): each a session of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.errors import MoatError, RunNotActiveError
from moat.runs.states import State
from moat.wire.messages import MAIN_SESSION

if TYPE_CHECKING:
    import asyncio

    from moat.engines.bubblewrap.engine import Execution
    from moat.supervisor.supervisor import Supervisor

# Ended exec sessions that nobody has watched yet are kept for those who are about to.
KEPT_SESSIONS: Final = 8


class Executing:
    """Starts sessions, and tells when their commands have begun, or why they have not."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._count = 0
        self._beginning: dict[str, asyncio.Future[None]] = {}
        """Those whose command has not begun yet."""

    async def start(self, what: Execution) -> str:
        """The name of the session, once its command has begun. Raises `MoatError`."""
        supervisor = self._supervisor
        if supervisor.state.now is not State.RUNNING:
            state = supervisor.state.now
            raise RunNotActiveError(f"run {supervisor.spec.name} is {state}: nothing to exec in")
        recorded = (_number(path.name) for path in supervisor.folder.journal.iterdir())
        self._count = 1 + max(self._count, *recorded)
        name = f"exec-{self._count}"
        session = supervisor.open_session(name, tty=what.tty)
        begun = self._beginning[name] = supervisor.loop.create_future()
        try:
            session.connect(await supervisor.engine.execute(name, what))
        except MoatError:
            del self._beginning[name]
            session.close()
            raise
        supervisor.announce(session)
        self._drop_old()
        await begun
        return name

    def began(self, name: str) -> None:
        if name in self._beginning:
            self._beginning.pop(name).set_result(None)

    def failed(self, name: str, error: MoatError) -> None:
        if name in self._beginning:
            self._beginning.pop(name).set_exception(error)

    def lost(self) -> None:
        """The sandbox is gone, and what was to begin in it with it."""
        for name in tuple(self._beginning):
            self.failed(name, MoatError("the run's sandbox is gone"))

    def _drop_old(self) -> None:
        """Ended sessions that nobody watches, but for the newest few, leave memory."""
        sessions = self._supervisor.sessions
        watched = {client.session for client in self._supervisor.audience.clients}
        for session in tuple(sessions.values())[:-KEPT_SESSIONS]:
            if session.drained and session.name != MAIN_SESSION and session not in watched:
                del sessions[session.name]
                session.close()


def _number(session: str) -> int:
    _, _, digits = session.partition("-")
    return int(digits) if digits.isdigit() else 0

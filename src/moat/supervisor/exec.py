"""Further commands in a running sandbox (`moat exec`), each in a session of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moat.errors import MoatError, RunNotActiveError
from moat.runs.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.engines.engine import Engine, Execution
    from moat.session.session import Session
    from moat.supervisor.context import RunContext
    from moat.supervisor.sessions import Sessions


class Exec:
    """Starts sessions, and tells when their commands have begun or why they have not."""

    def __init__(
        self,
        run: RunContext,
        engine: Engine,
        sessions: Sessions,
        announce: Callable[[Session], None],
    ) -> None:
        """`announce` is called with each new session."""
        self._spec = run.spec
        self._state = run.state
        self._engine = engine
        self._sessions = sessions
        self._announce = announce
        self._beginning: dict[str, asyncio.Future[None]] = {}
        """The sessions whose command has not begun yet."""

    async def start(self, execution: Execution) -> str:
        """Return the name of the new session once its command has begun. Raises `MoatError`."""
        if self._state.now is not State.RUNNING:
            raise RunNotActiveError(
                f"run {self._spec.name} is {self._state.now}: nothing to exec in"
            )
        name = self._sessions.next_exec_name()
        session = self._sessions.make(name, tty=execution.tty)
        begun = self._beginning[name] = asyncio.get_running_loop().create_future()
        try:
            session.connect(await self._engine.execute(name, execution))
        except MoatError:
            del self._beginning[name]
            session.close()
            raise
        self._announce(session)
        await begun
        return name

    def began(self, name: str) -> None:
        """Take note that a session's command has begun."""
        if name in self._beginning:
            self._beginning.pop(name).set_result(None)

    def failed(self, name: str, error: MoatError) -> None:
        """Take note that a session's command never will begin."""
        if name in self._beginning:
            self._beginning.pop(name).set_exception(error)

    def lost(self) -> None:
        """Take note that the sandbox is gone, and with it what was to begin in it."""
        for name in tuple(self._beginning):
            self.failed(name, MoatError("the run's sandbox is gone"))

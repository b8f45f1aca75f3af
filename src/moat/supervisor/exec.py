"""Further commands in a running sandbox (`moat exec`), each in a session of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from moat import timestamps
from moat.engines.engine import CommandRefusedError
from moat.errors import MoatError, RunNotActiveError
from moat.runs import session_records
from moat.runs.session_records import SessionRecord
from moat.runs.states import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moat.engines.engine import Engine, Execution
    from moat.session.session import Session
    from moat.supervisor.context import RunContext
    from moat.supervisor.sessions import Sessions

log = logging.getLogger(__name__)


class Exec:
    """Starts sessions, and tells when their commands have begun or why they have not."""

    def __init__(
        self,
        run: RunContext,
        engine: Engine,
        sessions: Sessions,
        announce: Callable[[Session], None],
        variables: Callable[[], Awaitable[Mapping[str, str]]],
    ) -> None:
        """`announce` is called with each new session, `variables` returns more for its command."""
        self._variables = variables
        self._spec = run.spec
        self._folder = run.folder
        self._state = run.state
        self._engine = engine
        self._sessions = sessions
        self._announce = announce
        self._beginning: dict[str, asyncio.Future[None]] = {}
        """The sessions whose command has not begun yet."""

    async def start(self, execution: Execution) -> str:
        """Return the name of the new session once its command has begun. Raises `MoatError`."""
        if self._state.now is not State.RUNNING:
            raise self._not_active(self._state.now)
        name = self._sessions.next_exec_name()
        try:
            session_records.write(self._folder, name, _record(execution))
            session = self._sessions.make(name, tty=execution.tty)
        except OSError as exc:  # a full disk most of all
            raise MoatError(f"the session can't be recorded: {exc.strerror}") from exc
        begun = self._beginning[name] = asyncio.get_running_loop().create_future()
        try:
            more = replace(execution, variables=await self._variables())
            session.connect(await self._engine.execute(name, more))
        except MoatError as error:
            del self._beginning[name]
            self._record_failure(name, error)
            session.close()
            if isinstance(error, CommandRefusedError) and error.errno == errno.ESRCH:
                raise self._not_active(State.STOPPING) from error  # its command has just ended
            raise
        self._announce(session)
        await begun
        return name

    def _not_active(self, state: State) -> RunNotActiveError:
        return RunNotActiveError(f"run {self._spec.name} is {state}: nothing to exec in")

    def began(self, name: str) -> None:
        """Take note that a session's command has begun."""
        if name in self._beginning:
            self._beginning.pop(name).set_result(None)

    def failed(self, name: str, error: MoatError) -> None:
        """Take note that a session's command never will begin."""
        if name in self._beginning:
            self._record_failure(name, error)
            self._beginning.pop(name).set_exception(error)

    def _record_failure(self, name: str, error: MoatError) -> None:
        try:
            record = session_records.read(self._folder, name)
            session_records.write(self._folder, name, replace(record, error=error.summary))
        except (OSError, MoatError) as exc:
            log.error("session %s: its failure was not recorded: %s", name, exc)  # noqa: TRY400

    def lost(self) -> None:
        """Take note that the sandbox is gone, and with it what was to begin in it."""
        for name in tuple(self._beginning):
            self.failed(name, MoatError("the run's sandbox is gone"))


def _record(execution: Execution) -> SessionRecord:
    return SessionRecord(
        command=execution.command,
        tty=execution.tty,
        interactive=execution.stdin,
        started_at=timestamps.now(),
    )

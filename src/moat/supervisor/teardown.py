"""The end of a run, whatever its cause, and what is done before it counts as ended.

The order matters. No supervisor adopts a run that has ended, so nothing may be left to do by then
that only a supervisor does. A supervisor that is killed on the way leaves a run that has not ended:
the next one finds its sandbox gone, but the exit status that the engine has kept.
"""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.errors import MoatError
from moat.events import Fault, LeftBehind, Quarantined
from moat.paths import MAIN_SESSION
from moat.runs import private_folder
from moat.runs.disk import Measure
from moat.runs.index import DISK_COLUMNS
from moat.runs.states import Happened, State
from moat.supervisor.snapshots import taken
from moat.wire.messages import Exited, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.engines.engine import Engine
    from moat.paths import RunFolder
    from moat.session.session import Session
    from moat.supervisor.context import RunContext
    from moat.supervisor.sessions import Sessions
    from moat.workspace.findings import Report

T = TypeVar("T")
log = logging.getLogger(__name__)

# The supervisor waits this long for the client that started the run, if none has come yet: a command
# may be over before its `moat run` has asked for anything. Later clients read the store.
LINGER_S: Final = 2.0
# The store keeps nothing of a start that failed: only this supervisor can say why, however slow the
# machine is.
FAILURE_LINGER_S: Final = 30.0
# A kept home may have a million files.
MEASURE_S: Final = 5.0


class Teardown:
    """Ends a run once: because its command did, its sandbox vanished, or it could not start."""

    def __init__(self, run: RunContext, engine: Engine, sessions: Sessions) -> None:
        self._run = run
        self._engine = engine
        self._sessions = sessions
        self.over = asyncio.Event()
        """Nothing is left to do: the process may end."""
        self.failure: Failure | None = None
        """The reason why the run did not start, or can't be supervised."""
        self.removes_run = False
        """Nothing of the run is to be kept: it never began, or its user has asked for that."""
        self.expected = False
        """The sandbox may go now; that is no loss any more."""
        self.complete = False
        """The run has ended, and nothing of its sandbox is left."""
        self._refused = False
        self._removable = False
        """The workspace was looked at, and there is nothing for the user to read about it."""

    # --- the three ends, and the refusal to touch a run ---

    def command_ended(self, main: Session) -> None:
        """End the run, whose command has ended and has been drained."""
        self.expected = True
        self._run.tasks.start(self._finish(main))

    async def sandbox_gone(self) -> None:
        """End the run, whose sandbox is gone: its exit status was kept, or nobody will ever know it."""
        if not self.expected:
            self.expected = True
            await self._bury()

    def start_failed(self, error: MoatError) -> None:
        """End the run, whose command never began."""
        log.error("start failed: %s", error)
        self.expected = True
        self._run.tasks.start(self._fail(Failure(error.summary, error.hint, error.code)))

    def leave_alone(self, error: MoatError) -> None:
        """Tell everybody why this supervisor can't serve the run, which goes on without it."""
        log.error("not supervised: %s", error)
        self._run.state.save(error=error.summary)
        self._run.emit(Fault("sandbox", error.summary))
        self._refused = True
        self._report_failure(Failure(error.summary, error.hint, error.code))
        self.leave_when_unwatched()

    # --- the command has ended ---

    async def _finish(self, main: Session) -> None:
        await self._clean_workspace()
        recorded = await self._engine.recorded_exit() is not None
        if recorded:
            await self._release()
        self._run.state.advance(Happened.COMMAND_EXITED, exit_code=main.exit_code, pid=None)
        self.report_end(main)
        if not recorded:
            # On a full disk the engine is the only one who knows the status, until the store does.
            await self._run.state.saved.wait()
            await self._release()
        await self._clean_up()

    # --- the sandbox is gone ---

    async def _bury(self) -> None:
        await self._clean_workspace()
        state = self._run.state
        if state.now is State.STARTING and state.error is not None:
            # The last supervisor was killed while it reported this.
            await self._fail(Failure(state.error))
            return
        exit_code = await self._engine.recorded_exit()
        self._advance_to_end(exit_code)
        if self._sessions.get(MAIN_SESSION) is None:
            self._sessions.add(self._sessions.make(MAIN_SESSION, tty=self._run.spec.tty))
        for session in self._sessions:
            session.ended(exit_code if session.name == MAIN_SESSION else None)
        self._run.changes.notify()
        await self._release()
        await self._clean_up()

    def _advance_to_end(self, exit_code: int | None) -> None:
        state = self._run.state
        if exit_code is not None and state.now is not State.CREATED:
            if state.now is State.STARTING:
                state.advance(Happened.COMMAND_STARTED)
            state.advance(Happened.COMMAND_EXITED, exit_code=exit_code, pid=None)
            return
        if state.now is State.CREATED:
            state.advance(Happened.START_REQUESTED)
        state.advance(Happened.SANDBOX_VANISHED, pid=None, error="its sandbox was killed or lost")

    # --- the start has failed ---

    async def _fail(self, failure: Failure) -> None:
        state = self._run.state
        # The next supervisor, were there to be one, finds no sandbox, but the reason.
        state.save(error=failure.summary)
        await self._release()
        self.failure = failure
        if state.now is State.CREATED:
            state.advance(Happened.START_REQUESTED)
        state.advance(Happened.START_FAILED, error=failure.summary)
        self.removes_run = not self._run.spec.keep
        self._report_failure(failure)
        await self._clean_up()

    def _report_failure(self, failure: Failure) -> None:
        self.failure = failure
        for viewer in self._run.viewers.attached:
            viewer.fail(failure)
        self._run.changes.notify()

    # --- common steps ---

    def report_end(self, session: Session) -> None:
        """Give every viewer of a session its end, behind the last byte."""
        if (ended := self.end_of(session)) is not None:
            for viewer in self._run.viewers.attached:
                if viewer.session is session:
                    viewer.end(ended)
        self._run.changes.notify()

    def end_of(self, session: Session) -> Exited | None:
        """Return the end of a session; `None` before all is done that comes before it.

        Whoever attaches while the run's workspace is being cleaned up waits for that like all others.
        """
        state = self._run.state
        if not session.drained or (session.name == MAIN_SESSION and not state.ended):
            return None
        return Exited(session.exit_code, str(state.now), state.stopped_because)

    async def _clean_workspace(self) -> None:
        """Quarantine what the run has left for programs of the host to obey; once at most.

        While the engine lives: were this supervisor killed over it, the engine starts a program
        that does the same.
        """
        try:
            report = await self._in_thread(lambda: _clean_up(self._run.folder))
        except (OSError, ValueError) as exc:
            # The end of the run stands. What was noted is kept, so the next supervisor tries again.
            log.error("the workspace was not cleaned up: %s", exc)  # noqa: TRY400  no traceback
        else:
            self._removable = not report.lines()
            if done := report.lines("quarantined", "cleared"):
                self._run.emit(Quarantined(tuple(done)))
            if left := report.lines("left", "unchecked"):
                self._run.emit(LeftBehind(tuple(left)))

    async def _freeze_changes(self) -> None:
        """Save what the run has changed, before the user changes more. Nobody waits for it.

        Some other process may have done it already, and have taken the last snapshot.
        """
        try:
            last = await self._in_thread(lambda: _freeze(self._run.folder))
        except (OSError, ValueError, MoatError) as exc:
            # What was recorded at the start is kept: `moat diff` tries again.
            log.error("the run's changes were not saved: %s", exc)  # noqa: TRY400  no traceback
        else:
            if last is not None:
                self._run.emit(taken(last))

    async def _release(self) -> None:
        try:
            await self._engine.release()
        except (SandboxGoneError, CommandRefusedError) as exc:
            log.warning("sandbox not released: %s", exc.summary)

    async def _clean_up(self) -> None:
        await self._freeze_changes()
        if not self._run.spec.keep:
            try:
                await self._in_thread(lambda: private_folder.empty(self._run.folder))
            except OSError as exc:
                log.error("private folder not emptied: %s", exc)  # noqa: TRY400  the end stands
        await self._measure()
        await self._run.state.saved.wait()
        if self._run.spec.remove_at_end and self._run.state.now is State.STOPPED:
            self.removes_run = self._removable
        self.complete = True
        self.leave_when_unwatched()

    async def _measure(self) -> None:
        """Note what the run takes of the disk, for `moat status` and `moat prune`."""
        use = await self._in_thread(lambda: Measure(MEASURE_S).run(self._run.folder))
        self._run.state.save(**dict(zip(DISK_COLUMNS, use, strict=True)))

    async def load(self) -> None:
        """Load what the end needs, once the run has begun.

        No start waits for it, and no update of Moat has replaced it yet.
        """
        await self._in_thread(lambda: import_module("moat.workspace.cleanup"))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._run.loop.run_in_executor(None, work)

    def leave_when_unwatched(self) -> None:
        """Let the process end once there is nothing left to do and everybody has been told."""
        if not (self.complete or self._refused) or not self._run.viewers.empty:
            return
        if self._run.viewers.came:
            self.over.set()
        else:
            patience = FAILURE_LINGER_S if self.removes_run else LINGER_S
            self._run.loop.call_later(patience, self.over.set)


def _clean_up(folder: RunFolder) -> Report:
    from moat.workspace.cleanup import clean_up  # noqa: PLC0415  see `Teardown.load`

    return clean_up(folder)


def _freeze(folder: RunFolder) -> dict[str, Any] | None:
    """Freeze what the run has changed, and return the snapshot of its end, if there is one."""
    from moat.workspace.frozen_changes import freeze  # noqa: PLC0415  see `Teardown.load`
    from moat.workspace.history.record import END  # noqa: PLC0415
    from moat.workspace.history.taking import newest  # noqa: PLC0415

    freeze(folder)
    last = newest(folder, END)
    return None if last is None else last.as_json()

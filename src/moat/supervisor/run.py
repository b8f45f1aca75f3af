"""The life of a supervised run, top to bottom: start or adopt it, serve it, see its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from moat.engines import registry
from moat.engines.engine import (
    CommandRefusedError,
    Engine,
    EngineEvents,
    SandboxGoneError,
    SessionState,
    UnsupportedSandboxError,
)
from moat.errors import EXIT_FAILURE, MoatError
from moat.events import ExecEnded, Fault, Stream, SupervisorStarted
from moat.paths import RunFolder
from moat.runs.event_log import EventLog
from moat.runs.states import Happened, State
from moat.supervisor.changes import Changes
from moat.supervisor.context import RunContext
from moat.supervisor.egress import RunEgress
from moat.supervisor.exec import Exec
from moat.supervisor.questions import Questions
from moat.supervisor.sessions import Sessions
from moat.supervisor.shutdown import Shutdown
from moat.supervisor.state import RunState
from moat.supervisor.teardown import Teardown
from moat.supervisor.viewers import Viewers
from moat.version import __version__
from moat.wire.messages import MAIN_SESSION, Exited, Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from moat.runs.store import Store
    from moat.session.session import Session
    from moat.spec import RunSpec
    from moat.supervisor.tasks import BackgroundTasks

log = logging.getLogger(__name__)

MakeEngine = Callable[["RunSpec", RunFolder, asyncio.AbstractEventLoop, EngineEvents], Engine]
_DISK_FULL: Final = "the disk is full: the command waits until it has room"


class Supervisor:
    """One run, its sessions, and everybody who asks about them.

    Implements `EngineEvents`, `SessionListener` and `AttachHost`.
    """

    def __init__(
        self,
        store: Store,
        spec: RunSpec,
        tasks: BackgroundTasks,
        make_engine: MakeEngine = registry.make,
    ) -> None:
        self.spec = spec
        self.loop = asyncio.get_running_loop()
        self.folder = store.folder(spec.id)
        self._store = store
        self._event_log = EventLog(self.folder.events)
        stream = Stream(time.time)
        stream.subscribe(self._event_log)
        self.emit = stream.emit
        self.state = RunState(store, spec.id, self.loop, self.emit)
        self.changes = Changes()
        self.viewers = Viewers(counted=self._count_viewers, left=self._somebody_left)
        self.tasks = tasks
        self.context = run = RunContext(
            spec, self.folder, self.state, self.viewers, self.changes, tasks, self.loop, self.emit
        )
        self.engine = make_engine(spec, self.folder, self.loop, self)
        self.sessions = Sessions(spec, self.folder, self.loop, self)
        self.shutdown = Shutdown(run, self.engine)
        self.exec = Exec(run, self.engine, self.sessions, self._announce)
        self.questions = Questions(run)
        self.egress = RunEgress(run, self.questions)
        self.teardown = Teardown(run, self.engine, self.sessions)
        self.begun = asyncio.Event()
        """The run was started or adopted, or that has failed: it can be acted on now."""
        self.outputs = 0
        """The number of output events, for clients that wait for quiet."""

    # --- beginning ---

    async def begin(self) -> None:
        """Adopt the run, or start it."""
        self.loop.add_signal_handler(signal.SIGTERM, self.teardown.over.set)
        self.state.save(supervisor_pid=os.getpid(), supervisor_version=__version__, viewers=0)
        try:
            await self._begin()
        except SandboxGoneError:
            await self.teardown.sandbox_gone()
        except UnsupportedSandboxError as error:
            self.teardown.leave_alone(error)
        except MoatError as error:
            self.teardown.start_failed(error)
        finally:
            self.begun.set()
            self.changes.notify()

    async def _begin(self) -> None:
        self.egress.prepare()
        found = await self.engine.connect(create=self.state.now is State.CREATED)
        if found is None:
            raise SandboxGoneError("the run's sandbox is gone")
        self.state.save(engine_data=self.engine.data, error=None)
        adopted = MAIN_SESSION in found
        self.emit(SupervisorStarted(os.getpid(), __version__, adopted, tuple(found)))
        if adopted:
            await self._adopt(found)
            await self.egress.reopen(self.engine)
        else:
            await self.egress.open(self.engine)
            await self._start()

    async def _start(self) -> None:
        if self.state.now is State.STOPPING:
            # The last supervisor was asked to stop it, and died before it had begun.
            raise MoatError("the run was stopped before its command began")
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        await self._clean_up_after_dead_runs()
        try:
            session = self.sessions.make(MAIN_SESSION, tty=self.spec.tty)
            session.connect(await self.engine.start(self.egress.certificate))
        except OSError as exc:  # a full disk most of all
            where = f" ({exc.filename})" if exc.filename else ""
            raise MoatError(
                f"the sandbox can't be made: {exc.strerror}{where}",
                f"It needs some megabytes in {self.folder.root}",
            ) from exc
        self._announce(session)
        self.tasks.start(self.teardown.load())

    async def _clean_up_after_dead_runs(self) -> None:
        """Quarantine what runs have left that died with their supervisors, in this workspace say."""
        others = [run for run in self._store.all(ended=False) if run.id != self.spec.id]
        if not others:
            return
        folders = {self._store.folder(run.id): run for run in others}

        def clean_up() -> None:
            from moat.workspace import cleanup  # noqa: PLC0415  see `Teardown.load`

            cleanup.clean_up_dead_runs(
                folders, lambda folder: registry.has_sandbox(folders[folder], folder)
            )

        try:
            await self.loop.run_in_executor(None, clean_up)
        except (OSError, ValueError, MoatError) as exc:
            log.error("other runs' workspaces were not cleaned up: %s", exc)  # noqa: TRY400

    async def _adopt(self, found: dict[str, SessionState]) -> None:
        """Take over all sessions as the last supervisor left them."""
        log.info("adopting sessions %s", ", ".join(found))
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        for name, known in found.items():
            session = self.sessions.make(name, tty=known.tty)
            session.connect(await self.engine.streams(name))
            self._announce(session)
            if known.pid is not None and name == MAIN_SESSION:
                self._command_runs(known.pid)
            if known.exit_code is not None:
                session.ended(known.exit_code)
        if self.state.now is State.STOPPING:
            self.shutdown.stop_later()

    def _announce(self, session: Session) -> None:
        """List the session, and let clients that have waited for it begin."""
        self.sessions.add(session)
        self.sessions.drop_old(self.viewers)
        self.changes.notify()

    # --- events of the engine ---

    def command_started(self, session: str, pid: int) -> None:
        if session == MAIN_SESSION:
            self._command_runs(pid)
        else:
            self.exec.began(session)

    def _command_runs(self, pid: int) -> None:
        if self.state.now is State.STARTING:
            self.state.advance(Happened.COMMAND_STARTED, pid=pid)
        else:
            self.state.save(pid=pid)
        self.shutdown.arm_timeout()
        self.changes.notify()

    def command_exited(self, session: str, exit_code: int) -> None:
        known = self.sessions.get(session)
        if known is not None:
            known.ended(exit_code)

    def command_failed(self, session: str, reason: str) -> None:
        error = MoatError(f"the command could not be started: {reason}")
        known = self.sessions.get(session)
        if session == MAIN_SESSION:
            self.teardown.start_failed(error)
        elif known is not None:
            log.error("session %s: %s", session, error.summary)
            known.ended(EXIT_FAILURE)
        self.exec.failed(session, error)

    def sandbox_lost(self) -> None:
        if not (self.teardown.over.is_set() or self.teardown.expected or self.state.ended):
            self.emit(Fault("sandbox", "the sandbox was killed or lost"))
            self.exec.lost()
            self.tasks.start(self.teardown.sandbox_gone())

    # --- events of a session ---

    def session_wrote(self, session: Session) -> None:
        del session
        self.outputs += 1
        self.changes.notify()

    def session_disk_full(self, session: Session, *, full: bool) -> None:
        problem = _DISK_FULL if full else None
        self.state.save(error=problem)
        self.emit(Fault("disk", f"{session.name}: {problem}" if full else ""))

    def session_drained(self, session: Session) -> None:
        if session.name == MAIN_SESSION and not self.state.ended:
            self.teardown.command_ended(session)
            return
        if session.name != MAIN_SESSION:
            self.emit(ExecEnded(session.name, session.exit_code))
            self._post(lambda: self.engine.forget(session.name))
        self.teardown.report_end(session)

    # --- what an attached client needs ---

    @property
    def failure(self) -> Failure | None:
        return self.teardown.failure

    @property
    def notice(self) -> str:
        return self.questions.notice

    def when_ready(self, name: str, act: Callable[[Session | None], None]) -> None:
        if self._is_settled(name):
            act(self.sessions.get(name))
        else:
            self.tasks.start(self._when_ready(name, act))

    async def _when_ready(self, name: str, act: Callable[[Session | None], None]) -> None:
        await self.changes.until(lambda: self._is_settled(name))
        act(self.sessions.get(name))

    def _is_settled(self, name: str) -> bool:
        """Return whether the session exists, or is known never to: all there will be is there."""
        if self.sessions.get(name) is not None or self.state.ended or self.failure is not None:
            return True
        return name != MAIN_SESSION and self.begun.is_set()

    def takes_input(self, session: Session) -> bool:
        return self.sessions.takes_input(session)

    def end_of(self, session: Session) -> Exited:
        return self.teardown.end_of(session)

    def signal(self, session: str, number: int) -> None:
        self._post(lambda: self.engine.signal(session, number))

    def _post(self, call: Callable[[], Awaitable[None]]) -> None:
        """Make a call of the engine that makes no difference where the session is over already."""
        self.tasks.start(self._posted(call))

    async def _posted(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except (CommandRefusedError, SandboxGoneError) as exc:
            log.info("a call to the engine was in vain: %s", exc.summary)

    # --- leaving ---

    def _count_viewers(self, count: int) -> None:
        self.state.save(viewers=count)
        self.changes.notify()

    def _somebody_left(self) -> None:
        self.teardown.leave_when_unwatched()

    def leave(self) -> None:
        """Let go of everything; a run that lives goes on without this supervisor."""
        for viewer in self.viewers.attached:
            viewer.close()
        self.sessions.close()
        self.shutdown.disarm_timeout()
        self.egress.close()
        self.engine.close()
        self._event_log.close()
        if self.teardown.complete:
            (self.folder.root / RunFolder.SUPERVISOR_SOCKET).unlink(missing_ok=True)

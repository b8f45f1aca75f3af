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
from moat.event_stream import Stream
from moat.events import ExecEnded, Fault, SupervisorStarted
from moat.paths import MAIN_SESSION, RunFolder
from moat.runs.event_log import EventLog
from moat.runs.states import Happened, State
from moat.supervisor import optional_parts
from moat.supervisor.agent_guide import AgentGuide
from moat.supervisor.audit import RunAudit
from moat.supervisor.changes import Changes
from moat.supervisor.context import RunContext
from moat.supervisor.dead_runs import clean_up_after
from moat.supervisor.egress import RunEgress
from moat.supervisor.exec import Exec
from moat.supervisor.hooks import Hooks
from moat.supervisor.metrics import RunMetrics
from moat.supervisor.notices import Notices
from moat.supervisor.questions import Questions
from moat.supervisor.run_secrets import RunSecrets
from moat.supervisor.sessions import Sessions
from moat.supervisor.shutdown import Shutdown
from moat.supervisor.snapshots import Snapshots
from moat.supervisor.state import RunState
from moat.supervisor.teardown import Teardown
from moat.supervisor.viewers import Viewers
from moat.supervisor.waiting import WaitWatch
from moat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from moat.runs.store import Store
    from moat.session.session import Session
    from moat.spec import RunSpec
    from moat.supervisor.tasks import BackgroundTasks
    from moat.wire.messages import Exited, Failure

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
        self.audit = RunAudit(store.home, self.loop)
        stream = Stream(time.time)
        stream.subscribe(self.audit)  # first: what happens is in the audit log before all else
        stream.subscribe(self._event_log)
        self._guide = AgentGuide(spec, self.folder)
        stream.subscribe(self._guide)
        self.emit = stream.emit
        self.state = RunState(store, spec.id, self.loop, self.emit)
        self.changes = Changes()
        self.viewers = Viewers(counted=self._count_viewers, left=self._somebody_left)
        self.tasks = tasks
        self.context = run = RunContext(
            spec,
            self.folder,
            self.state,
            self.viewers,
            self.changes,
            tasks,
            self.loop,
            self.emit,
            Notices(self.viewers),
        )
        self.metrics = RunMetrics(run)
        stream.subscribe(self.metrics)
        self.hooks = Hooks(run)
        stream.subscribe(self.hooks)
        self.snapshots = Snapshots(run)
        stream.subscribe(self.snapshots)
        self.audit.open(run)
        self.secrets = RunSecrets(run, store.home)
        self.engine = make_engine(spec, self.folder, self.loop, self)
        self.questions = Questions(run)
        self.waiting = WaitWatch(run)
        self.sessions = Sessions(spec, self.folder, self.loop, self, self.questions.clipboard)
        self.sessions.on_segment_closed = self.audit.segment_closed
        self.shutdown = Shutdown(run, self.engine)
        self.exec = Exec(run, self.engine, self.sessions, self._announce, self._variables)
        self.egress = RunEgress(run, self.questions, self.audit, self.shutdown)
        self.ssh_agent = optional_parts.ssh_agent(run, store.home)
        if self.ssh_agent is not None:
            self.egress.watch_tunnels = self.ssh_agent.sessions.watch
        self.ports = optional_parts.ports(run, store.home, self.engine, self.egress, self.audit)
        if self.ports is not None:
            stream.subscribe(self.ports)
        self.teardown = Teardown(run, self.engine, self.sessions)
        self.services = optional_parts.services(run, store, self.engine, self.egress, self.teardown)
        if self.services is not None:
            stream.subscribe(self.services)
        self.begun = asyncio.Event()
        """The run was started or adopted, or that has failed: it can be acted on now."""

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
        self.state.report(None, engine_data=self.engine.data)
        adopted = MAIN_SESSION in found
        self.emit(SupervisorStarted(os.getpid(), __version__, adopted, tuple(found)))
        if adopted:
            self.audit.adopt()
            await self._adopt(found)
            await self.egress.reopen(self.engine)
            await self._open_services()
            if self.services is not None:
                await self.services.adopt()
        else:
            await self.egress.open(self.engine)
            await self._open_services()
            await self._start()

    async def _open_services(self) -> None:
        if self.ssh_agent is not None:
            await self.ssh_agent.open(self.engine)
        if self.ports is not None:
            await self.ports.open()

    async def _start(self) -> None:
        if self.state.now is State.STOPPING:
            # The last supervisor was asked to stop it, and died before it had begun.
            raise MoatError("the run was stopped before its command began")
        self.audit.check()
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        await clean_up_after(self._store, self.spec.id)
        try:
            if self.services is not None:
                self.begun.set()  # it takes long, and can be stopped meanwhile
                await self.services.start()
            session = self.sessions.make(MAIN_SESSION, tty=self.spec.tty)
            variables = await self._variables()
            self._guide.write()
            session.connect(await self.engine.start(self.egress.certificate, variables))
        except OSError as exc:  # a full disk most of all
            where = f" ({exc.filename})" if exc.filename else ""
            raise MoatError(
                f"the sandbox can't be made: {exc.strerror}{where}",
                f"It needs some megabytes in {self.folder.root}",
            ) from exc
        self._announce(session)
        self.tasks.start(self.teardown.load())

    async def _variables(self) -> Mapping[str, str]:
        """Return the variables that commands get besides those of the specification."""
        urls = {} if self.ports is None else self.ports.variables
        if self.services is not None:
            urls |= self.services.variables
        secrets = await self.secrets.variables()
        self.audit.check()
        return {**urls, **secrets}

    async def _adopt(self, found: dict[str, SessionState]) -> None:
        """Take over all sessions as the last supervisor left them."""
        log.info("adopting sessions %s", ", ".join(found))
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        for name, known in found.items():
            session = self.sessions.make(name, tty=known.tty)
            session.connect(await self.engine.streams(name))
            self._announce(session)
            self.waiting.wrote(session)
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

    def memory_used_up(self, session: str) -> None:
        if session == MAIN_SESSION:
            self.state.stopped_because = "killed by the kernel, because its memory was used up"
            self.state.report(None)
        self.emit(Fault("sandbox", f"{session}: killed because its memory was used up"))

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
        self.waiting.wrote(session)
        self.changes.notify()

    def session_typed(self, session: Session) -> None:
        self.waiting.typed(session)

    def session_reported(self, session: Session, status: str) -> None:
        self.waiting.reported(session, status)

    def session_notified(self, session: Session, text: str) -> None:
        self.waiting.notified(session, text)

    def session_disk_full(self, session: Session, *, full: bool) -> None:
        problem = _DISK_FULL if full else None
        self.state.report(problem)
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

    def notice(self, session: str) -> str:
        return self.context.notices.of(session)

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

    def end_of(self, session: Session) -> Exited | None:
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
        self.snapshots.close()
        for viewer in self.viewers.attached:
            viewer.close()
        self.sessions.close()
        self.waiting.close()
        self.shutdown.disarm_timeout()
        self.egress.close()
        if self.ssh_agent is not None:
            self.ssh_agent.close()
        if self.ports is not None:
            self.ports.close()
        if self.services is not None:
            self.services.close()
        self.engine.close()
        self.hooks.close()
        self._event_log.close()
        if self.teardown.complete:
            self.secrets.forget()
            (self.folder.root / RunFolder.SUPERVISOR_SOCKET).unlink(missing_ok=True)

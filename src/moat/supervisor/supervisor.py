"""What a supervisor does with its run, from top to bottom: take over or start, serve, see the end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.engine import Bubblewrap, Happenings, SessionState
from moat.engines.bubblewrap.shim_client import ShimGoneError, ShimRefusedError
from moat.errors import EXIT_FAILURE, MoatError
from moat.paths import RunFolder
from moat.runs.states import Happened, State
from moat.runs.store import empty_private
from moat.session.journal.journal import Journal
from moat.session.session import Session
from moat.supervisor.egress import RunNetwork
from moat.supervisor.exec import Executing
from moat.supervisor.shutdown import Ending
from moat.supervisor.state import RunState
from moat.supervisor.viewers import Audience
from moat.version import __version__
from moat.wire.messages import MAIN_SESSION, Exited, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moat.runs.store import Store
    from moat.session.terminal.screen import Screen
    from moat.spec import RunSpec
    from moat.supervisor.background import Background

log = logging.getLogger(__name__)

# After the end we wait this long for the one who started the run, if nobody has come yet: a command
# may be over before its `moat run` has asked for anything. (Who comes later reads the store.)
LINGER_S: Final = 2.0
# Of a start that failed the store keeps nothing: only we can say why, however slow the machine is.
FAILURE_LINGER_S: Final = 30.0


class Supervisor:
    """One run, its sessions, and everybody who asks about them."""

    def __init__(
        self,
        store: Store,
        spec: RunSpec,
        loop: asyncio.AbstractEventLoop,
        background: Background,
    ) -> None:
        self.spec = spec
        self._store = store
        self.folder = store.folder(spec.id)
        self.loop = loop
        self.state = RunState(store, spec.id, loop)
        self.engine = Bubblewrap(
            spec,
            self.folder,
            loop,
            Happenings(self._on_started, self._on_exited, self._on_failed, self._on_lost),
        )
        self.sessions: dict[str, Session] = {}
        self.audience = Audience(loop, counted=self._count_viewers, left=self.leave_when_unwatched)
        self.ending = Ending(self, background)
        self.background = background
        self.begun = asyncio.Event()
        """The run was taken over, or started, or that has failed: now it can be acted on."""
        self.over = asyncio.Event()
        """Nothing is left to do: the process may end."""
        self.outputs = 0
        """Counts output events, for those who wait for quiet."""
        self.failure: Failure | None = None
        self.removes_itself = False
        self._done_with_shim = False
        """It goes when it is told, and that is no loss."""
        self._cleaned = False
        """The run has ended, and nothing of its sandbox is left."""
        self.executing = Executing(self)
        self.network = RunNetwork(self)

    # --- beginning ---

    async def begin(self) -> None:
        """Takes the run over, or starts it."""
        self.loop.add_signal_handler(signal.SIGTERM, self.over.set)
        self.state.save(supervisor_pid=os.getpid(), supervisor_version=__version__, viewers=0)
        try:
            self.network.prepare()
            found = await self.engine.connect(create=self.state.now is State.CREATED)
            if found is None:
                self._sandbox_is_gone()
                return
            self.state.save(shim_pid=self.engine.shim_pid, error=None)
            if MAIN_SESSION in found:
                await self._adopt(found)
                await self.network.reopen(self.engine)
            else:
                await self.network.open(self.engine)
                await self._start()
        except ShimGoneError:
            self._sandbox_is_gone()
        except MoatError as error:
            self._start_failed(error)
        finally:
            self.begun.set()
            self.audience.notify()

    async def _start(self) -> None:
        if self.state.now is State.STOPPING:
            # The last supervisor was asked to stop it, and died before it had begun.
            raise MoatError("the run was stopped before its command began")
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        if others := self._others():
            await self.engine.disarm_dead(others)
        try:
            session = self.open_session(MAIN_SESSION, tty=self.spec.tty)
            session.connect(await self.engine.start(self.network.certificate))
        except OSError as exc:  # a full disk most of all
            where = f" ({exc.filename})" if exc.filename else ""
            raise MoatError(
                f"the sandbox can't be made: {exc.strerror}{where}",
                f"It needs some megabytes in {self.folder.root}",
            ) from exc
        self.announce(session)

    def _others(self) -> list[RunFolder]:
        """Of the runs that have not ended."""
        runs = self._store.all(ended=False)
        return [self._store.folder(run.id) for run in runs if run.id != self.spec.id]

    async def _adopt(self, found: dict[str, SessionState]) -> None:
        """Everything as the last supervisor left it."""
        log.info("adopting sessions %s", ", ".join(found))
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        for name, known in found.items():
            session = self.open_session(name, tty=known.tty)
            session.connect(await self.engine.streams(name))
            self.announce(session)
            if known.pid is not None and name == MAIN_SESSION:
                self._command_runs(known.pid)
            if known.exit_code is not None:
                session.ended(known.exit_code)
        if self.state.now is State.STOPPING:
            self.background.start(self.ending.stop_unasked())

    def open_session(self, name: str, *, tty: bool) -> Session:
        journal = Journal(self.folder.journal / name, self.spec.size, self.spec.journal_limit)
        session = Session(name, journal, self._screen(journal) if tty else None, self.loop)
        session.on_output = self._on_output
        session.on_drained = lambda: self._on_drained(session)
        session.on_disk = self._on_disk
        session.on_stdin_closed = lambda: self._tell_shim(self.engine.close_stdin(name))
        return session

    def _screen(self, journal: Journal) -> Screen:
        from moat.session.journal.rebuild import screen_of  # noqa: PLC0415  runs without a TTY need none

        return screen_of(journal.reader.folder, self.spec.scrollback, self.spec.size)

    def announce(self, session: Session) -> None:
        """The session exists: viewers that came before it get it now."""
        self.sessions[session.name] = session
        self.audience.notify()

    # --- what the engine tells ---

    def _on_started(self, session: str, pid: int) -> None:
        if session == MAIN_SESSION:
            self._command_runs(pid)
        else:
            self.executing.began(session)

    def _command_runs(self, pid: int) -> None:
        if self.state.now is State.STARTING:
            self.state.advance(Happened.COMMAND_STARTED, pid=pid)
        else:
            self.state.save(pid=pid)
        self.ending.arm_timeout()
        self.audience.notify()

    def _on_exited(self, session: str, exit_code: int) -> None:
        if session in self.sessions:
            self.sessions[session].ended(exit_code)

    def _on_failed(self, session: str, why: str) -> None:
        error = MoatError(f"the command could not be started: {why or 'the sandbox ended early'}")
        if session == MAIN_SESSION:
            self._start_failed(error)
        elif session in self.sessions:
            log.error("session %s: %s", session, error.summary)
            self.sessions[session].ended(EXIT_FAILURE)
        self.executing.failed(session, error)

    def _on_lost(self) -> None:
        if not self.over.is_set() and not self.state.ended and not self._done_with_shim:
            self._sandbox_is_gone()

    def _on_output(self) -> None:
        self.outputs += 1
        self.audience.notify()

    def _on_disk(self, full: bool) -> None:
        self.state.save(
            error="the disk is full: the command waits until it has room" if full else None
        )

    # --- the end ---

    def _on_drained(self, session: Session) -> None:
        """A command has ended and all it wrote is in the journal."""
        if session.name == MAIN_SESSION and not self.state.ended:
            self._done_with_shim = True
            self.background.start(self._finish(session))
            return
        if session.name != MAIN_SESSION:
            self._tell_shim(self.engine.forget(session.name))
        self._tell_end(session)
        self.audience.notify()

    async def _finish(self, main: Session) -> None:
        """The run is over once nothing of its sandbox is left, nor of what it has planted.

        In this order, because of a run that has ended nobody takes over: were we killed in between,
        the next supervisor finds no shim, but the exit status that it left. A shim that could not
        write it (a full disk) stays until we have.
        """
        await self.loop.run_in_executor(None, self.engine.disarm)
        recorded = self._recorded_exit() is not None
        if recorded:
            await self._release()
        self.state.advance(Happened.COMMAND_EXITED, exit_code=main.exit_code, pid=None)
        self._tell_end(main)
        self.audience.notify()
        if not recorded:
            await self.state.saved.wait()
            await self._release()
        await self._clean_up()

    async def _release(self) -> None:
        try:
            await self.engine.release()
        except (ShimGoneError, ShimRefusedError) as exc:
            log.warning("shim not released: %s", exc.summary)

    async def _clean_up(self) -> None:
        if not self.spec.keep:
            await self._clean()
        await self.state.saved.wait()
        self._cleaned = True
        self.leave_when_unwatched()

    async def _clean(self) -> None:
        try:
            await self.loop.run_in_executor(None, empty_private, self.folder)
        except OSError as exc:
            log.error("private folder not emptied: %s", exc)  # noqa: TRY400  the run's end stands

    def _sandbox_is_gone(self) -> None:
        """No shim any more: the exit status is on disk, or nobody will ever know it."""
        self.engine.disarm()
        if self.state.now is State.STARTING and self.state.error is not None:
            self._start_failed(MoatError(self.state.error))
            return
        if MAIN_SESSION not in self.sessions:
            self.sessions[MAIN_SESSION] = self.open_session(MAIN_SESSION, tty=self.spec.tty)
        main = self.sessions[MAIN_SESSION]
        exit_code = self._recorded_exit()
        if exit_code is not None and self.state.now is not State.CREATED:
            if self.state.now is State.STARTING:
                self.state.advance(Happened.COMMAND_STARTED)
            self.state.advance(Happened.COMMAND_EXITED, exit_code=exit_code, pid=None)
        else:
            if self.state.now is State.CREATED:
                self.state.advance(Happened.START_REQUESTED)
            self.state.advance(
                Happened.SANDBOX_VANISHED, pid=None, error="its sandbox was killed or lost"
            )
        for session in self.sessions.values():
            session.ended(exit_code if session is main else None)
        self.executing.lost()
        self.background.start(self._bury())
        self.audience.notify()

    async def _bury(self) -> None:
        await self._release()
        await self._clean_up()

    def _recorded_exit(self) -> int | None:
        path = self.folder.exits / f"{MAIN_SESSION}.json"
        try:
            return int(json.loads(path.read_text())["exit_code"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as exc:
            log.error("exit status %s can't be read: %s", path, exc)  # noqa: TRY400
            return None

    def _start_failed(self, error: MoatError) -> None:
        log.error("start failed: %s", error)
        self._done_with_shim = True
        self.background.start(self._fail(Failure(error.summary, error.hint, error.code)))

    async def _fail(self, failure: Failure) -> None:
        """In the order of `_finish`, for its reason."""
        # The next supervisor, were there to be one, finds no sandbox, but the reason.
        self.state.save(error=failure.summary)
        await self._release()
        self.failure = failure
        if self.state.now is State.CREATED:
            self.state.advance(Happened.START_REQUESTED)
        self.state.advance(Happened.START_FAILED, error=failure.summary)
        # Nothing remains of a run that never began, unless it was to be kept.
        self.removes_itself = not self.spec.keep
        for client in tuple(self.audience.clients):
            client.fail(failure)
        self.audience.notify()
        await self._clean_up()

    def _tell_end(self, session: Session) -> None:
        ended = Exited(session.exit_code, str(self.state.now))
        for client in tuple(self.audience.clients):
            if client.session is session:
                client.end(ended)

    def leave_when_unwatched(self) -> None:
        """The process ends when the run has and everybody has been told."""
        if not self._cleaned or not self.audience.empty:
            return
        if self.audience.came:
            self.over.set()
        else:
            patience = FAILURE_LINGER_S if self.removes_itself else LINGER_S
            self.loop.call_later(patience, self.over.set)

    def leave(self) -> None:
        """Lets go of everything; a run that lives goes on without us."""
        for client in tuple(self.audience.clients):
            client.close()
        for session in self.sessions.values():
            session.close()
        self.ending.disarm_timeout()
        self.network.close()
        self.engine.close()
        if self._cleaned:
            for name in (RunFolder.SUPERVISOR_SOCKET, RunFolder.SHIM_SOCKET):
                (self.folder.root / name).unlink(missing_ok=True)

    # --- what clients ask for ---

    def when_ready(self, name: str, act: Callable[[Session | None], None]) -> None:
        """Calls `act` with the session once it exists, or with `None` when it never will."""
        if self._is_settled(name):
            act(self.sessions.get(name))
        else:
            self.background.start(self._when_ready(name, act))

    async def _when_ready(self, name: str, act: Callable[[Session | None], None]) -> None:
        await self.audience.until(lambda: self._is_settled(name))
        act(self.sessions.get(name))

    def _is_settled(self, name: str) -> bool:
        """Whether there is such a session, or none will come: the run is taken over with all it has."""
        if name in self.sessions or self.state.ended:
            return True
        return name != MAIN_SESSION and self.begun.is_set()

    def takes_input(self, session: Session) -> bool:
        return self.spec.interactive or session.name != MAIN_SESSION

    def _count_viewers(self, count: int) -> None:
        self.state.save(viewers=count)
        self.audience.notify()

    def signal_later(self, session: str, number: int) -> None:
        self._tell_shim(self.engine.signal(session, number))

    def _tell_shim(self, call: Coroutine[None, None, None]) -> None:
        """For what makes no difference where the session, or the sandbox, is over already."""
        self.background.start(self._told(call))

    async def _told(self, call: Coroutine[None, None, None]) -> None:
        try:
            await call
        except (ShimRefusedError, ShimGoneError) as exc:
            log.info("the shim was told in vain: %s", exc.summary)

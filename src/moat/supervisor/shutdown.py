"""Stopping a run: by asking, then by force; on a user's request, or when its time is up."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.errors import RunNotActiveError
from moat.paths import MAIN_SESSION
from moat.runs.states import Happened, State

if TYPE_CHECKING:
    from moat.engines.engine import Engine
    from moat.supervisor.context import RunContext

log = logging.getLogger(__name__)


class Shutdown:
    """Stop and kill; both return when the run has ended."""

    def __init__(self, run: RunContext, engine: Engine) -> None:
        self._spec = run.spec
        self._state = run.state
        self._changes = run.changes
        self._tasks = run.tasks
        self._engine = engine
        self._timeout: asyncio.TimerHandle | None = None

    async def stop(self, number: int | None = None, patience: float | None = None) -> None:
        """Send the command a signal (SIGTERM), and kill it if it lives on for `patience` seconds."""
        self._begin()
        if patience is None:
            patience = self._spec.stop_timeout
        try:
            await self._ask(number or signal.SIGTERM)
            await asyncio.wait_for(self._changes.until(self._has_ended), patience)
        except (TimeoutError, CommandRefusedError, SandboxGoneError):
            await self._kill()

    async def kill(self) -> None:
        """Kill the command and everything else in the sandbox."""
        self._begin()
        await self._kill()

    def stop_later(self) -> None:
        """Stop the run for a reason of the supervisor's own, if it has not ended by then."""
        self._tasks.start(self._stop_unless_ended())

    async def _stop_unless_ended(self) -> None:
        if not self._state.ended:
            await self.stop()

    def arm_timeout(self) -> None:
        """Stop the run when its time is up, counted from the command's start."""
        if self._spec.timeout is not None and self._state.started_at is not None:
            ran = datetime.now(UTC) - datetime.fromisoformat(self._state.started_at)
            left = max(0.0, self._spec.timeout - ran.total_seconds())
            self._timeout = asyncio.get_running_loop().call_later(left, self._timed_out)

    def disarm_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()

    def _timed_out(self) -> None:
        if not self._state.ended:
            self._state.stopped_because = f"stopped after its timeout of {self._spec.timeout:g} s"
            self._state.report(None)
            self.stop_later()

    async def _kill(self) -> None:
        try:
            await self._engine.kill(MAIN_SESSION)
        except (CommandRefusedError, SandboxGoneError) as exc:
            log.info("kill: %s", exc.summary)  # it ended by itself in this moment
        await self._changes.until(self._has_ended)

    def _begin(self) -> None:
        if self._state.ended:
            raise RunNotActiveError(f"run {self._spec.name} is {self._state.now} already")
        if self._state.now is not State.STOPPING:
            self._state.advance(Happened.STOP_REQUESTED)
            self._changes.notify()

    def _has_ended(self) -> bool:
        return self._state.ended

    async def _ask(self, number: int) -> None:
        await self._engine.signal(MAIN_SESSION, number)
        with suppress(
            CommandRefusedError
        ):  # it may have obeyed already, and its exit code is its own
            if number == signal.SIGTERM and self._spec.tty:
                # Interactive shells ignore SIGTERM, but obey the hang-up of their terminal.
                await self._engine.signal(MAIN_SESSION, signal.SIGHUP)
            # A stopped process receives neither before it is continued.
            await self._engine.signal(MAIN_SESSION, signal.SIGCONT)

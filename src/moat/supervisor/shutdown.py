"""Making a run end: by asking, and then by force; when somebody wants it, or its time is up."""

from __future__ import annotations

import asyncio
import logging
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moat.engines.bubblewrap.shim_client import ShimGoneError, ShimRefusedError
from moat.errors import RunNotActiveError
from moat.runs.states import Happened, State
from moat.wire.messages import MAIN_SESSION

if TYPE_CHECKING:
    from moat.supervisor.background import Background
    from moat.supervisor.supervisor import Supervisor

log = logging.getLogger(__name__)


class Ending:
    """Stop and kill; both return when the run has ended."""

    def __init__(self, supervisor: Supervisor, background: Background) -> None:
        self._spec = supervisor.spec
        self._loop = supervisor.loop
        self._engine = supervisor.engine
        self._state = supervisor.state
        self._audience = supervisor.audience
        self._background = background
        self._timeout: asyncio.TimerHandle | None = None

    async def stop(self, number: int | None, patience: float | None) -> None:
        """Asks the command to end and, when it has not after `patience` seconds, kills it."""
        self._begin()
        if patience is None:
            patience = self._spec.stop_timeout
        try:
            await self._ask(number or signal.SIGTERM)
            await asyncio.wait_for(self._audience.until(self._has_ended), patience)
        except (TimeoutError, ShimRefusedError, ShimGoneError):
            await self._kill()

    def arm_timeout(self) -> None:
        """From the command's start on, whichever supervisor saw that."""
        if self._spec.timeout is not None and self._state.started_at is not None:
            ran = datetime.now(UTC) - datetime.fromisoformat(self._state.started_at)
            left = max(0.0, self._spec.timeout - ran.total_seconds())
            self._timeout = self._loop.call_later(left, self._timed_out)

    def disarm_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()

    def _timed_out(self) -> None:
        if not self._state.ended:
            self._state.save(error=f"stopped after its timeout of {self._spec.timeout:g} s")
            self._background.start(self.stop_unasked())

    async def stop_unasked(self) -> None:
        """A stop of our own accord; a run that has ended meanwhile is no error."""
        if not self._state.ended:
            await self.stop(None, None)

    async def kill(self) -> None:
        self._begin()
        await self._kill()

    async def _kill(self) -> None:
        try:
            await self._engine.kill(MAIN_SESSION)
        except (ShimRefusedError, ShimGoneError) as exc:
            log.info("kill: %s", exc.summary)  # it ended by itself in this moment
        await self._audience.until(self._has_ended)

    def _begin(self) -> None:
        if self._state.ended:
            raise RunNotActiveError(f"run {self._spec.name} is {self._state.now} already")
        if self._state.now is not State.STOPPING:
            self._state.advance(Happened.STOP_REQUESTED)
            self._audience.notify()

    def _has_ended(self) -> bool:
        return self._state.ended

    async def _ask(self, number: int) -> None:
        await self._engine.signal(MAIN_SESSION, number)
        if number == signal.SIGTERM and self._spec.tty:
            # Interactive shells ignore SIGTERM; the hang-up of their terminal they obey.
            await self._engine.signal(MAIN_SESSION, signal.SIGHUP)
        # A stopped process gets none of them before it goes on.
        await self._engine.signal(MAIN_SESSION, signal.SIGCONT)

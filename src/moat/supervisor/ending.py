"""Making a run end: by asking, and then by force."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from moat.engines.shim_link import ShimGoneError, ShimRefusedError
from moat.errors import RunNotActiveError
from moat.runs.states import Happened, State
from moat.wire.messages import MAIN_SESSION

if TYPE_CHECKING:
    from moat.engines.bubblewrap import Bubblewrap
    from moat.spec import RunSpec
    from moat.supervisor.audience import Audience
    from moat.supervisor.state import RunState

log = logging.getLogger(__name__)


class Ending:
    """Stop and kill; both return when the run has ended."""

    def __init__(
        self, spec: RunSpec, engine: Bubblewrap, state: RunState, audience: Audience
    ) -> None:
        self._spec = spec
        self._engine = engine
        self._state = state
        self._audience = audience

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

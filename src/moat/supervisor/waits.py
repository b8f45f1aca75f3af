"""What a client of a run can wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moat.errors import MoatError
from moat.paths import MAIN_SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.supervisor.run import Supervisor


class Waits:
    """The waits of one run's clients. They end with an error where the run can't be supervised."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def ready_to_act(self) -> None:
        """Wait until the run was started or adopted. Raises `MoatError` where neither can be."""
        await self._supervisor.begun.wait()
        if not self._supervisor.state.ended:
            self.raise_failure()

    def raise_failure(self) -> None:
        failure = self._supervisor.failure
        if failure is not None:
            error = MoatError(failure.summary, failure.hint)
            error.code = failure.code
            raise error

    async def wait(self, query: dict[str, str]) -> str:
        """Return what has happened: that for which the query asks, or the end."""
        supervisor = self._supervisor
        name = query.get("session", MAIN_SESSION)
        if name != MAIN_SESSION:
            await self.ready_to_act()
            supervisor.sessions.named(name)

        def outputs() -> int:
            session = supervisor.sessions.get(name)
            return 0 if session is None else session.outputs

        def ended() -> bool:
            if name == MAIN_SESSION or supervisor.state.ended:
                return supervisor.state.ended
            session = supervisor.sessions.get(name)
            return session is None or session.drained

        match query["for"]:
            case "exit":
                await self.until(ended)
                if name == MAIN_SESSION:
                    await supervisor.state.saved.wait()
            case "input":
                await self.until(lambda: bool(supervisor.waiting.now) or ended())
            case "output":
                after = int(query["after"])
                await self.until(lambda: outputs() != after or ended())
            case "idle":
                await self._idle(float(query["seconds"]), outputs, ended)
            case other:
                raise ValueError(f"for={other}")
        return "exit" if ended() else query["for"]

    async def _idle(
        self, seconds: float, outputs: Callable[[], int], ended: Callable[[], bool]
    ) -> None:
        """Return when there was no output for that long, or what is waited for has ended."""
        while not ended():
            before = outputs()
            more = self.until(lambda before=before: outputs() != before or ended())
            try:
                await asyncio.wait_for(more, seconds)
            except TimeoutError:
                return

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something about the run. Raises `MoatError` where it can't be supervised."""
        supervisor = self._supervisor
        await supervisor.changes.until(lambda: reached() or supervisor.failure is not None)
        if not reached():
            self.raise_failure()

"""A loop of timers alone: its time is the test's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class ManualLoop(asyncio.AbstractEventLoop):
    """Calls what is due when the test says how much time has passed."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def advance(self, seconds: float) -> None:
        """Let time pass; timers that timers start are called, too, where they are due."""
        end = self._now + seconds
        while due := [timer for timer in self._timers if timer.when() <= end]:
            timer = min(due, key=asyncio.TimerHandle.when)
            self._timers.remove(timer)
            self._now = timer.when()
            timer._run()
        self._now = end

    @property
    def waiting(self) -> int:
        """The number of timers that have not been called."""
        return len(self._timers)

    def time(self) -> float:
        return self._now

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self._now + delay, callback, args, self, context)
        self._timers.append(timer)
        return timer

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        if timer in self._timers:
            self._timers.remove(timer)

"""Entries that the record of the network dropped, as events: at once, and then together for a while.

A hostile program can fill a small record many times a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.events import TrafficDropped

if TYPE_CHECKING:
    import asyncio

    from moat.egress.traffic.room import Dropped
    from moat.supervisor.context import RunContext

WINDOW_S: Final = 10.0
"""Time after an event in which further entries are counted and not emitted."""


class DroppedTraffic:
    """Emits `TrafficDropped` events, at most one in each window."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._counted: Dropped | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, dropped: Dropped) -> None:
        """Report entries that were dropped just now."""
        earlier = self._counted
        self._counted = dropped if earlier is None else earlier.with_later(dropped)
        if self._timer is None:
            self._emit()

    def flush(self) -> None:
        """Emit what was counted, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._counted is not None:
            self._run.emit(TrafficDropped(*self._counted))
            self._counted = None

    def _emit(self) -> None:
        self.flush()
        self._timer = self._run.loop.call_later(WINDOW_S, self._window_over)

    def _window_over(self) -> None:
        self._timer = None
        if self._counted is not None:
            self._emit()

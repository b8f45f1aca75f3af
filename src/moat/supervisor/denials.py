"""Denials of the network as events: each at once, and those that repeat it counted.

A hostile program can have itself denied thousands of times a second; the traffic record keeps each,
the event log must stay readable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.events import Denied

if TYPE_CHECKING:
    import asyncio

    from moat.supervisor.context import RunContext

WINDOW_S: Final = 10.0
"""For so long after an event, denials of the same are counted and not emitted."""
MAX_COUNTED: Final = 64
"""The number of different denials in one window that are emitted by name."""

_Key = tuple[str, str, int, str]


class Denials:
    """Emits `Denied` events, a bounded number in each window."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._repeated: dict[_Key, tuple[int, str]] = {}
        """The number of denials since the last event, and the newest reason, by what was denied."""
        self._others = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, scheme: str, host: str, port: int, rule: str, reason: str) -> None:
        """Report one denial."""
        key = (scheme, host, port, rule)
        if key in self._repeated:
            self._repeated[key] = (self._repeated[key][0] + 1, reason)
        elif len(self._repeated) >= MAX_COUNTED:
            self._others += 1
        else:
            self._repeated[key] = (0, reason)
            self._run.emit(Denied(*key, reason))
        if self._timer is None:
            self._timer = self._run.loop.call_later(WINDOW_S, self.flush)

    def flush(self) -> None:
        """Emit what was counted, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for key, (count, reason) in self._repeated.items():
            if count:
                self._run.emit(Denied(*key, reason, count))
        if self._others:
            self._run.emit(Denied("", "", 0, "", "many others", self._others))
        self._repeated.clear()
        self._others = 0

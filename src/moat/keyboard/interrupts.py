"""Ctrl-C to a client that only watches: stop the run, or leave it.

No I/O; the caller brings the clock. The first Ctrl-C is answered with what a second one does. A second
one within the window stops the run. Once the window has passed without one, the client detaches and the
run goes on.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

WINDOW_S: Final = 1.5
"""Long enough to answer over a slow line. A setting (`interrupt_window`)."""


class Verdict(Enum):
    WARN = auto()
    STOP = auto()
    DETACH = auto()


class Interrupts:
    def __init__(self, window: float = WINDOW_S) -> None:
        """`window` is in seconds."""
        self._window = window
        self._first: float | None = None

    @property
    def deadline(self) -> float | None:
        """Time at which to ask `expired`; `None` while no Ctrl-C waits for a second."""
        return None if self._first is None else self._first + self._window

    def pressed(self, now: float) -> Verdict:
        """Return `WARN` or `STOP`."""
        if self._first is not None and now - self._first <= self._window:
            self._first = None
            return Verdict.STOP
        self._first = now
        return Verdict.WARN

    def expired(self, now: float) -> Verdict | None:
        """Return `DETACH` once the window has passed."""
        if self.deadline is not None and now >= self.deadline:
            self._first = None
            return Verdict.DETACH
        return None

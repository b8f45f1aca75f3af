"""What Ctrl-C means to a run that takes no input.

Pure; the caller brings the clock. The first Ctrl-C says what the second does; a second within the
window stops the run; when the window closes without one, the client detaches and the run goes on.
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
        self._window = window
        self._first: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `expired` is to be asked; `None` while no Ctrl-C is waiting for a second."""
        return None if self._first is None else self._first + self._window

    def pressed(self, now: float) -> Verdict:
        if self._first is not None and now - self._first <= self._window:
            self._first = None
            return Verdict.STOP
        self._first = now
        return Verdict.WARN

    def expired(self, now: float) -> Verdict | None:
        """`DETACH` once the window has closed."""
        if self.deadline is not None and now >= self.deadline:
            self._first = None
            return Verdict.DETACH
        return None

"""Things that are told at once, and counted where they repeat themselves.

A hostile program can have the same happen thousands of times a second; the event log must stay readable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

K = TypeVar("K")

WINDOW_S: Final = 10.0
"""Time after a thing was told in which the same is counted and not told."""
MAX_COUNTED: Final = 64
"""The number of different things in one window that are told by themselves."""


class Repeats(Generic[K]):
    """Tells a bounded number of things in each window."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tell: Callable[[K | None, str, int], None]
    ) -> None:
        """`tell` gets a thing, its newest detail and how many times it has happened since it was told.

        Instead of a thing it gets `None` for the others, of which only the number is known.
        """
        self._loop = loop
        self._tell = tell
        self._repeated: dict[K, tuple[int, str]] = {}
        """The number of times that each has happened since it was told, and the newest detail."""
        self._others = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, thing: K, detail: str = "") -> None:
        """Take note of one thing that has happened."""
        if thing in self._repeated:
            self._repeated[thing] = (self._repeated[thing][0] + 1, detail)
        elif len(self._repeated) >= MAX_COUNTED:
            self._others += 1
        else:
            self._repeated[thing] = (0, detail)
            self._tell(thing, detail, 1)
        if self._timer is None:
            self._timer = self._loop.call_later(WINDOW_S, self.flush)

    def flush(self) -> None:
        """Tell what was counted, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for thing, (count, detail) in self._repeated.items():
            if count:
                self._tell(thing, detail, count)
        if self._others:
            self._tell(None, "", self._others)
        self._repeated.clear()
        self._others = 0

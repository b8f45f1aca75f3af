"""The files that a process has loaded, and whether they are still the same."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# The clock of file systems, up to a tick behind the precise one (linux/time.h).
_CLOCK_REALTIME_COARSE: Final = 5


class LoadedFiles:
    """The interpreter and the files of all modules, as they were when this process had loaded them."""

    def __init__(self, started_at: int) -> None:
        """`started_at` is `now` from before the first of them was loaded."""
        self._started_at = started_at
        self._known = _states(_loaded())

    @property
    def are_current(self) -> bool:
        """Tell whether no file has been replaced or written since before it was loaded."""
        newest = max(state[0] for state in self._known.values())
        return newest < self._started_at and _states(self._known) == self._known


def now() -> int:
    """Return the time as file systems note it."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


State = tuple[int, int, int, int]
"""State of a file: the time of its last change, its size, and its identity."""


def _states(paths: Iterable[str]) -> dict[str, State]:
    return {path: _state(path) for path in paths}


def _loaded() -> set[str]:
    files = (getattr(module, "__file__", None) for module in tuple(sys.modules.values()))
    return {sys.executable, *filter(None, files)}


def _state(path: str) -> State:
    try:
        status = os.stat(path)  # noqa: PTH116  hundreds of them at each start
    except FileNotFoundError:
        return (0, 0, 0, 0)
    return (status.st_ctime_ns, status.st_size, status.st_dev, status.st_ino)

"""Creations and removals of runs that were killed half-way, and how they are finished.

A process that makes or removes a run has a mark in the store meanwhile, a file that it holds locked
(flock(2)). A mark that nobody holds is of a process that died. The row then decides: it is written
last and deleted first, so a folder without one was never a run, or is one no more.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final, Self

from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PREFIX: Final = "unfinished-"


class Mark:
    """The mark of one run. A context manager: leaving it without `clear` is as good as dying."""

    def __init__(self, home: Path, run_id: str) -> None:
        """Make the mark, or wait for whoever has it. Raises `OSError`."""
        self._path = home / f"{_PREFIX}{run_id}"
        self._fd = _held(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def clear(self) -> None:
        """Take the mark away: the run is there as a whole, or not at all."""
        self._path.unlink(missing_ok=True)


def _held(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            # Whoever finishes what others have left may have deleted it before it was locked.
            if os.fstat(fd).st_nlink:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def marks(home: Path) -> set[str]:
    """Return the ids of the runs that have a mark."""
    with os.scandir(home) as entries:
        return {
            each.name.removeprefix(_PREFIX) for each in entries if each.name.startswith(_PREFIX)
        }


def finish(home: Path, has_row: Callable[[str], bool], discard: Callable[[str], None]) -> None:
    """Finish what dead processes have left; `discard` deletes a folder. Raises `OSError`."""
    for run_id in marks(home):
        path = home / f"{_PREFIX}{run_id}"
        fd = lock.try_lock(path)
        if fd is None:
            continue  # its process is at work
        try:
            if not has_row(run_id):
                discard(run_id)
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)

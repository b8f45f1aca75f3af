"""The disk space that a run takes.

A run may be at work meanwhile and rename folders, nest them without end or put links in their place. So
folders are entered by descriptors, links are not followed, and what vanishes is not counted.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from moat.paths import RunFolder

DEEPEST: Final = 100
"""Folders in one another that are entered; each has a descriptor open."""
MOST: Final = 1_000_000
"""Files that are looked at."""
_BLOCK: Final = 512
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RECORD: Final = (
    "run.db",
    "run.db-wal",
    "run.db-shm",
    "events.jsonl",
    "audit.log",
    "supervisor.log",
)
_JOURNAL: Final = "journal"


class DiskUse(NamedTuple):
    """Bytes on disk of one run, by part."""

    journal: int
    """Its output."""
    record: int
    """The record of its network, its events, its audit log."""
    other: int
    """Its sandbox's home, and what is kept of its workspace."""

    @property
    def total(self) -> int:
        return self.journal + self.record + self.other


class Measure:
    """A measure of several folders, within a time for all of them."""

    def __init__(self, seconds: float | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self._left = MOST
        self.complete = True
        """Everything has been looked at so far."""

    @property
    def over(self) -> bool:
        """Tell whether no more should be begun."""
        return self._end is not None and time.monotonic() >= self._end

    def folder(self, path: Path) -> int:
        """Return the bytes of all files below a folder; 0 where there is none."""
        with suppress(OSError):
            return self._folder(os.open(path, _OPEN), DEEPEST)
        return 0

    def run(self, folder: RunFolder) -> DiskUse:
        """Return what a run takes."""
        journal = self.folder(folder.root / _JOURNAL)
        record = sum(_size(folder.root / name) for name in _RECORD)
        return DiskUse(journal, record, max(0, self.folder(folder.root) - journal - record))

    def _folder(self, descriptor: int, depth: int) -> int:
        """Measure an open folder, and close it."""
        total = 0
        try:
            if self._left <= 0 or self.over or depth == 0:
                self.complete = False
                return 0
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    self._left -= 1
                    with suppress(OSError):  # it is gone, or is another thing by now
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                        if entry.is_dir(follow_symlinks=False):
                            inner = os.open(entry.name, _OPEN, dir_fd=descriptor)
                            total += self._folder(inner, depth - 1)
        finally:
            os.close(descriptor)
        return total


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_blocks * _BLOCK
    except OSError:
        return 0

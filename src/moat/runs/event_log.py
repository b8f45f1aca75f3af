"""The events of a run on disk, a JSON object a line, for `moat events`.

One process writes, the run's supervisor; others may read meanwhile (`runs.event_reader`). The log is
bounded: a file that is full becomes the older half, and the half before that is deleted.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from typing import TYPE_CHECKING, Final

from moat import events
from moat.event_stream import as_json
from moat.runs.event_reader import older

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

MAX_BYTES: Final = 8 * 1024 * 1024
"""The size at which a file is full, so twice as much is kept at most: some 100,000 events."""
_LONGEST_LINE: Final = 1 << 20
"""A command line has at most 128 KiB per argument (execve(2)); few are near that."""


class EventLog:
    """The writer: a subscriber of `event_stream.Stream`."""

    def __init__(self, path: Path, limit: int = MAX_BYTES) -> None:
        self._path = path
        self._limit = limit
        self._fd: int | None = None
        self._size = 0
        self._missed = 0

    def __call__(self, at: float, event: events.Event) -> None:
        """Append an event. What a full disk refuses is counted, and said when there is room again."""
        line = _line(at, event)
        if self._missed:
            fault = events.Fault("disk", f"{self._missed} events were not recorded")
            line = _line(at, fault) + line
        try:
            self._append(line)
        except OSError as exc:
            self._missed += 1
            log.error("an event is not recorded: %s: %s", exc.strerror, event)  # noqa: TRY400
        else:
            self._missed = 0

    def _append(self, line: bytes) -> None:
        if self._fd is None:
            self._fd, self._size = _open(self._path)
        if self._size + len(line) > self._limit:
            self.close()
            self._path.replace(older(self._path))
            self._fd, self._size = _open(self._path)
        written = os.write(self._fd, line)
        if written < len(line):
            os.truncate(self._fd, self._size)  # no half lines
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _open(path: Path) -> tuple[int, int]:
    """Return a descriptor for appending and the file's size; half a line of a killed writer goes."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    size = os.fstat(fd).st_size
    tail = os.pread(fd, _LONGEST_LINE, max(0, size - _LONGEST_LINE))
    if tail and not tail.endswith(b"\n"):
        size -= len(tail) - (tail.rfind(b"\n") + 1)
        os.ftruncate(fd, size)
    return fd, size


def _line(at: float, event: events.Event) -> bytes:
    return json.dumps(as_json(at, event)).encode() + b"\n"

"""The supervisor's log: its standard error, in a file that is bounded.

What a program of the sandbox does may be worth a line each time, and it may do it without end. A file
that is full becomes the older half, and the half before that is deleted.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from moat.runs.event_reader import older

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 4 * 1024 * 1024
"""The size at which the file is full, so twice as much is kept at most."""
_STDOUT, _STDERR = 1, 2


class BoundedLog(logging.Handler):
    """Writes to standard error, and exchanges the file behind it when that is full."""

    def __init__(self, path: Path, limit: int = MAX_BYTES) -> None:
        super().__init__()
        self._path = path
        self._limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            if os.fstat(_STDERR).st_size > self._limit:
                self._begin_anew()
        except OSError:  # a full disk; the next record may find room again
            self.handleError(record)

    def _begin_anew(self) -> None:
        self._path.replace(older(self._path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        os.dup2(fd, _STDOUT)
        os.dup2(fd, _STDERR)
        os.close(fd)

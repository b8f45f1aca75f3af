"""A process of this host, by a descriptor that never comes to stand for another (pidfd_open(2))."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Self


class Process:
    """A context manager. `fileno` is readable once the process has ended and has let go of its locks."""

    def __init__(self, pid: int) -> None:
        """Raise `ProcessLookupError` where no process has that pid."""
        self._pid = pid
        self._fd = os.pidfd_open(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def arguments(self) -> list[bytes]:
        """Return its command line, nothing for a process that has ended."""
        try:
            content = Path(f"/proc/{self._pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return []
        # The pid may be another's by now, unless the process still lives.
        return [] if self._has_ended() else content.split(b"\0")

    def kill(self) -> None:
        """Send SIGKILL, and return when the process has ended."""
        try:
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        except ProcessLookupError:
            return
        select.select([self._fd], [], [])

    def _has_ended(self) -> bool:
        return bool(select.select([self._fd], [], [], 0)[0])

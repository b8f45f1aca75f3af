"""A process of this host, by a descriptor that never comes to stand for another (pidfd_open(2))."""

from __future__ import annotations

import os
import select
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        self.wait()

    def wait(self, timeout: float | None = None) -> None:
        """Return when the process has ended, or after `timeout` seconds."""
        select.select([self._fd], [], [], timeout)

    def descendants(self) -> Iterator[Process]:
        """Yield the processes that it has started, those first that it started itself."""
        ahead = deque([self._pid])
        while ahead:
            for child in _children(ahead.popleft()):
                ahead.append(child)
                with suppress(ProcessLookupError):
                    yield Process(child)

    def _has_ended(self) -> bool:
        return bool(select.select([self._fd], [], [], 0)[0])


def name_process(name: str) -> None:
    """Give this process a name of at most 15 letters, which `ps -o comm` shows (proc_pid_comm(5))."""
    Path("/proc/self/comm").write_text(name, encoding="ascii")


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started (proc_pid_task(5)), none if it has ended."""
    try:
        return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []

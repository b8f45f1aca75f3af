"""Limits of a client's wait for a supervisor, and the message when the wait was in vain.

A supervisor that lives answers at once, if only that it lives. One that was stopped (SIGSTOP), or whose
loop is stuck, still has its socket and its lock, so nothing breaks: whoever waits needs a deadline.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final

from moat.errors import SupervisorError
from moat.runs import lock

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from moat.paths import RunFolder

# The user's setting is not read before this, so that it costs nobody anything who is answered.
_SOON_S: Final = 1.0
# To load a supervisor takes longer than to answer, most of all where many start at once.
START_FACTOR: Final = 3


class SupervisorStuckError(SupervisorError):
    """The run's supervisor lives, and doesn't answer."""

    code = "supervisor_stuck"


class Patience:
    """The deadline of one client for its run's supervisor."""

    def __init__(self, home: Path, folder: RunFolder, seconds: float | None = None) -> None:
        """`seconds` that a supervisor may take to answer; `None`: the user's `answer_timeout`."""
        self._home = home
        self._folder = folder
        self._seconds = seconds

    @property
    def seconds(self) -> float:
        if self._seconds is None:
            from moat.config import settings  # noqa: PLC0415  most supervisors answer before

            self._seconds = settings.load(self._home).answer_timeout
        return self._seconds

    def readable(self, source: socket.socket | int, factor: float = 1) -> bool:
        """Wait until something can be read; return `False` where nothing came in time."""
        soon = _SOON_S if self._seconds is None else min(_SOON_S, self._seconds)
        return _readable(source, soon) or _readable(source, self.seconds * factor - soon)

    def stuck(self) -> SupervisorStuckError:
        """Return the error that says what was found, and what helps."""
        run = self._folder.id
        pid = lock.holder(self._folder.supervisor_lock)
        if pid is None:
            return SupervisorStuckError(
                f"the supervisor of run {run} doesn't answer within {self.seconds:g} s",
                f"Try again, or end the run: moat kill --force {run}",
            )
        found = "is stopped" if _is_stopped(pid) else f"has said nothing for {self.seconds:g} s"
        return SupervisorStuckError(
            f"the supervisor of run {run} doesn't answer: process {pid} {found}",
            f"Replace it, the run goes on: kill -KILL {pid}; or end it: moat kill --force {run}",
        )


def _readable(source: socket.socket | int, seconds: float) -> bool:
    # Not select(2), which ends at descriptor 1023.
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    return bool(waiting.poll(max(0.0, seconds) * 1000))


def _is_stopped(pid: int) -> bool:
    """Return whether the process was stopped by a signal or a debugger (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  pathlib is not loaded for it
            status = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(b") ")[2][:1] in b"Tt"

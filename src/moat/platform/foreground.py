"""A test whether another process is in the foreground of its terminal: keys typed there are for it then.

The kernel asks this of whoever reads the terminal that controls it, and stops it otherwise (SIGTTIN).
It asks nothing of a process that reads another's terminal, which has to look for itself.
"""

from __future__ import annotations

import os
from typing import Final, Self

_STAT_BYTES: Final = 1024
# Stopped by a signal or a debugger, or dead and not waited for (proc_pid_stat(5)).
_ABSENT: Final = (b"T", b"t", b"Z", b"X")


class Foreground:
    """One process and its controlling terminal."""

    def __init__(self, stat: int) -> None:
        """Take over a descriptor of the process's `stat`, which never becomes another process's."""
        self._stat = stat

    @classmethod
    def of(cls, pid: int, terminal: int) -> Self | None:
        """Return that of the process; `None` where it is not known, or another terminal controls it."""
        try:
            stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None  # it has gone, or is out of our sight
        foreground = cls(stat)
        device = os.fstat(terminal).st_rdev
        if foreground._controlled_by() != (os.major(device), os.minor(device)):
            foreground.close()
            return None
        return foreground

    def is_held(self) -> bool:
        """Return whether the process runs, and belongs to the group that the terminal's keys are for."""
        try:
            state, group, _, foreground = self._fields()
        except OSError:
            return False  # it has gone
        return state not in _ABSENT and group == foreground

    def close(self) -> None:
        os.close(self._stat)

    def _controlled_by(self) -> tuple[int, int] | None:
        try:
            number = int(self._fields()[2])
        except OSError:
            return None
        # As `new_encode_dev` of the kernel packs it.
        return (number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00)

    def _fields(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Return its state, its process group, the terminal's number, and the group in front.

        The name before them may hold anything, a parenthesis too.
        """
        text = os.pread(self._stat, _STAT_BYTES, 0).rpartition(b") ")[2]
        state, _, group, _, terminal, foreground, _ = text.split(b" ", 6)
        return state, group, terminal, foreground

"""The user's terminal while a client has it: one context that gives it back on every way out."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, Self

from moat.platform import tty
from moat.spec import PixelSize, TerminalSize

if TYPE_CHECKING:
    from types import TracebackType


def in_foreground(fd: int) -> bool:
    """Return whether this process is in the foreground of the terminal, which controls it."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


class LocalTerminal:
    """The terminal that `fd` is open on. Nothing about it changes before `take`."""

    def __init__(self, fd: int, fd_out: int) -> None:
        """`fd_out` is where output goes, which may not be a terminal.

        Raise `termios.error` where `fd` is not a terminal.
        """
        self._fd = fd
        self._fd_out = fd_out
        self._taken: tty.Attributes | None = None
        """The attributes that `take` has set, until `restore`."""
        self.saved: tty.Attributes = termios.tcgetattr(fd)
        """The attributes that the terminal had before, and will have afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()

    def in_foreground(self) -> bool:
        """Return whether we may read and change it: a background job would be stopped for that."""
        return in_foreground(self._fd)

    def reads_what_it_shows(self) -> bool:
        """Return whether keys and output are of one terminal, by a name that it has everywhere."""
        return os.fstat(self._fd).st_rdev == os.fstat(self._fd_out).st_rdev

    def take(self, *, raw: bool) -> None:
        """Have every key delivered at once: raw, or with Ctrl-C and the like still being signals.

        In the background this stops the process, as it should, until the shell continues it in the
        foreground (SIGTTOU).
        """
        wanted = tty.raw(self.saved) if raw else tty.unbuffered(self.saved)
        termios.tcsetattr(self._fd, termios.TCSANOW, wanted)
        # As the kernel has them: the terminal may not support all of `wanted`.
        self._taken = termios.tcgetattr(self._fd)

    def restore(self) -> None:
        """Give the terminal back; any number of times. What a shell has set since is left alone."""
        taken, self._taken = self._taken, None
        if taken is not None:
            tty.give_back(self._fd, taken, self.saved)

    def pixels(self) -> PixelSize:
        """Return the terminal's size in pixels, zeros where it doesn't know."""
        try:
            answer = fcntl.ioctl(self._fd, termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return PixelSize()  # its window is closed
        return PixelSize(*struct.unpack("HHHH", answer)[2:])

    def size(self) -> TerminalSize:
        """Return the terminal's size, 80 by 24 where it doesn't know."""
        # Output may go to a file while the keys come from a terminal.
        for fd in (self._fd_out, self._fd):
            if os.isatty(fd):
                size = os.get_terminal_size(fd)
                if size.columns and size.lines:
                    return TerminalSize(size.columns, size.lines)
        return TerminalSize()

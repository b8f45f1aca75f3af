"""The user's terminal, while it is ours: one context that gives it back on every way out."""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING, Self

from moat.spec import TerminalSize
from moat.wire import tty

if TYPE_CHECKING:
    from types import TracebackType


class LocalTerminal:
    """The line discipline of the terminal behind `fd`; nothing changes before `take`."""

    def __init__(self, fd: int, fd_out: int) -> None:
        """Raises `termios.error` where `fd` is no terminal. `fd_out` may be something else."""
        self._fd = fd
        self._fd_out = fd_out
        self._taken: tty.Attributes | None = None
        """As we have set it, until it is given back."""
        self.saved: tty.Attributes = termios.tcgetattr(fd)
        """As the terminal was, and will be."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()

    def take(self, *, raw: bool) -> None:
        """Every key comes to us at once: raw, or with Ctrl-C and the like still being signals.

        In the background this stops us, as it should, until the shell gives us the terminal.
        """
        wanted = tty.raw(self.saved) if raw else tty.unbuffered(self.saved)
        termios.tcsetattr(self._fd, termios.TCSANOW, wanted)
        # As the kernel has it: `wanted` may ask for what the terminal can't do.
        self._taken = termios.tcgetattr(self._fd)

    def restore(self) -> None:
        """Any number of times. What a shell has made of the terminal since is left alone."""
        taken, self._taken = self._taken, None
        if taken is not None:
            tty.give_back(self._fd, taken, self.saved)

    def size(self) -> TerminalSize:
        """What the terminal says; 80 by 24 where it says nothing."""
        # Output may go to a file while the keys come from a terminal.
        for fd in (self._fd_out, self._fd):
            if os.isatty(fd):
                size = os.get_terminal_size(fd)
                if size.columns and size.lines:
                    return TerminalSize(size.columns, size.lines)
        return TerminalSize()

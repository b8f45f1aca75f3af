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
        """Raises `termios.error` where `fd` is no terminal."""
        self._fd = fd
        self._fd_out = fd_out
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
        """Every key comes to us at once: raw, or with Ctrl-C and the like still being signals."""
        wanted = tty.raw(self.saved) if raw else tty.unbuffered(self.saved)
        termios.tcsetattr(self._fd, termios.TCSANOW, wanted)

    def restore(self) -> None:
        """TCSANOW: waiting for output to drain could last for ever on a stopped terminal."""
        termios.tcsetattr(self._fd, termios.TCSANOW, self.saved)

    def size(self) -> TerminalSize:
        """What the terminal says; 80 by 24 where it says nothing."""
        size = os.get_terminal_size(self._fd_out)
        if size.columns and size.lines:
            return TerminalSize(size.columns, size.lines)
        return TerminalSize()

"""A user's terminal: a real pty, and an emulator that draws what is written there."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from moat.platform.tty import raw
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize
from moat.wire.tty import encode

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 120
# N_TTY_BUF_SIZE of Linux, less the byte that tells full from empty.
_PTY_READ_BYTES = 4095


class UsersTerminal:
    """The window, and in `fd` the descriptor that programs in it have. Raw, as a client sets it."""

    def __init__(self, size: TerminalSize | None = None) -> None:
        size = size or TerminalSize()
        self._window, self.fd = os.openpty()
        self.output = b""
        """All that was written on it, and drawn."""
        self.saved = termios.tcgetattr(self.fd)
        self.screen = Screen(size, 100)
        termios.tcsetwinsize(self._window, (size.rows, size.columns))
        termios.tcsetattr(self.fd, termios.TCSANOW, raw(self.saved))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        os.close(self.fd)
        self.screen.close()

    def close(self) -> None:
        """Close the window: programs in it are hung up."""
        if self._window != -1:
            os.close(self._window)
            self._window = -1

    def type(self, keys: bytes) -> None:
        os.write(self._window, keys)

    def hello(self) -> dict[str, Any]:
        """What a client says that passes the terminal."""
        return {
            "fds": (self.fd,),
            "terminal": True,
            "passed": True,
            "columns": self.screen.size.columns,
            "rows": self.screen.size.rows,
            "termios": encode(self.saved),
        }

    @property
    def line_discipline(self) -> list[Any]:
        return termios.tcgetattr(self.fd)

    @property
    def rows(self) -> list[str]:
        """The text on the screen, after all that was written by now."""
        self.draw()
        return self.screen.text().split("\n")

    def draw(self) -> bytes:
        """Draw what is there; return it."""
        drawn = b""
        while select.select([self._window], [], [], 0)[0]:
            drawn += os.read(self._window, 1 << 16)
        self.screen.feed(drawn)
        self.output += drawn
        return drawn

    async def until(self, reached: Callable[[], bool]) -> None:
        """Draw until a condition holds."""
        loop = asyncio.get_running_loop()
        written = asyncio.Event()
        loop.add_reader(self._window, written.set)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not reached():
                    await written.wait()
                    written.clear()
                    self.draw()
        finally:
            loop.remove_reader(self._window)

    async def shows(self, text: str) -> None:
        await self.until(lambda: text in self.screen.text())

    def fill(self) -> None:
        """Let another program write until the terminal takes no more."""
        fd = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            # The kernel moves what was written to where it is read from in its own time, which makes
            # room, until there is no room there either.
            settled = False
            while not settled:
                settled = self._readable >= _PTY_READ_BYTES
                with suppress(BlockingIOError):
                    while os.write(fd, b"f" * 100):
                        pass
        finally:
            os.close(fd)

    @property
    def _readable(self) -> int:
        return struct.unpack("i", fcntl.ioctl(self._window, termios.FIONREAD, bytes(4)))[0]

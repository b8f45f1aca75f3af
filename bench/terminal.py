"""A terminal window: a pty with a program that leads its session, and one way to read from it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_S = 60.0
COLUMNS, ROWS = 80, 24


class Terminal:
    """Run `argv` as a terminal emulator does. Input waits in the pty until the program reads it."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], typed: bytes = b""
    ) -> None:
        self._keyboard, line = os.openpty()
        fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        _without_echo(line)
        os.write(self._keyboard, typed)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._keyboard)
            os.login_tty(line)
            os.execvpe(argv[0], list(argv), environment)
        os.close(line)
        os.set_blocking(self._keyboard, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._keyboard)  # as when a window is closed
        os.kill(self._pid, signal.SIGKILL)  # some programs ignore SIGHUP
        os.waitpid(self._pid, 0)

    def type(self, data: bytes) -> None:
        os.write(self._keyboard, data)

    def read(self) -> bytes:
        """Return the next piece of output, as soon as there is one."""
        ready, _, _ = select.select([self._keyboard], [], [], TIMEOUT_S)
        if not ready:
            raise TimeoutError("no output")
        try:
            return os.read(self._keyboard, 1 << 16)
        except OSError as exc:
            raise EOFError("the program has ended") from exc

    def read_until(self, marker: bytes) -> None:
        tail = b""
        while marker not in tail:
            tail = tail[-len(marker) :] + self.read()

    def drain(self, quiet_s: float = 0.3) -> None:
        """Read until nothing has come for a while."""
        while select.select([self._keyboard], [], [], quiet_s)[0]:
            self.read()

    def seconds_until(self, marker: bytes, after_typing: bytes) -> float:
        started = time.perf_counter()
        self.type(after_typing)
        self.read_until(marker)
        return time.perf_counter() - started


def _without_echo(line: int) -> None:
    """Switch off the line discipline's own echo, so that only the program echoes what is typed."""
    settings = termios.tcgetattr(line)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(line, termios.TCSANOW, settings)

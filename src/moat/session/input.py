"""Bytes on their way to a program that may not read now, or ever.

Who sends them is told how many were taken and bounds himself by that (`wire.frames.INPUT_WINDOW`), so
the queue is bounded. Where nobody will read any more, bytes count as taken: they are nobody's loss.
"""

from __future__ import annotations

import errno
import os
import termios
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


@dataclass(slots=True)
class _Portion:
    data: memoryview
    taken: Callable[[int], None]


class ProgramInput:
    """The program's end of standard input: a pipe, or the terminal. Owns neither."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int | None,
        *,
        tty: bool,
        on_end: Callable[[], None],
    ) -> None:
        """`on_end` is called once nothing more can be written: close the pipe."""
        self._loop = loop
        self._fd = fd
        self._tty = tty
        self._on_end = on_end
        self._queue: deque[_Portion] = deque()
        self._ending = False
        self._waiting = False

    def write(self, data: bytes, taken: Callable[[int], None]) -> None:
        """Queues bytes; `taken` hears how many went, as they go."""
        self._queue.append(_Portion(memoryview(data), taken))
        if not self._waiting:
            self._write()

    def end(self) -> None:
        """No more input: the program reads end of file behind what is queued."""
        self._ending = True
        if not self._waiting:
            self._write()

    def close(self) -> None:
        """Nothing is written any more; what is queued counts as taken."""
        self._stop_waiting()
        self._fd = None
        self._write()

    def _write(self) -> None:
        while self._queue:
            portion = self._queue[0]
            count = self._try(portion.data)
            portion.taken(count)
            if count < len(portion.data):
                portion.data = portion.data[count:]
                self._wait()
                return
            self._queue.popleft()
        self._stop_waiting()
        if self._ending:
            self._ending = False
            self._finish()

    def _try(self, data: memoryview) -> int:
        if self._fd is None:
            return len(data)
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.EIO):
                raise
            self._stop_waiting()
            self._fd = None
            self._on_end()
            return len(data)

    def _wait(self) -> None:
        if not self._waiting and self._fd is not None:
            self._waiting = True
            self._loop.add_writer(self._fd, self._write)

    def _stop_waiting(self) -> None:
        if self._waiting and self._fd is not None:
            self._waiting = False
            self._loop.remove_writer(self._fd)

    def _finish(self) -> None:
        if self._fd is None:
            return
        if self._tty:
            # A terminal has no end, but a character that means one, where line input is on.
            end = _end_of_file(self._fd)
            if end:
                os.write(self._fd, end)
        else:
            self._fd = None
            self._on_end()


def _end_of_file(terminal: int) -> bytes:
    attributes = termios.tcgetattr(terminal)
    local_flags, characters = attributes[3], attributes[6]
    return characters[termios.VEOF] if local_flags & termios.ICANON else b""

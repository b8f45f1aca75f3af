"""Input on its way to a program that may not read it now, or ever.

Senders hear how many bytes the program took and limit themselves by that (`wire.frames.INPUT_WINDOW`),
so the queue is bounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.session.io import ProgramIO


@dataclass(slots=True)
class _Portion:
    data: memoryview
    taken: Callable[[int], None]


class InputQueue:
    """The queue in front of a program's standard input.

    Without a program to read it, input counts as taken: nobody loses it.
    """

    def __init__(self, io: ProgramIO | None) -> None:
        self._io = io
        self._queue: deque[_Portion] = deque()
        self._ending = False
        self._waiting = False

    def write(self, data: bytes, taken: Callable[[int], None]) -> None:
        """Queue bytes; `taken` is called with the number of bytes that went, as they go."""
        self._queue.append(_Portion(memoryview(data), taken))
        if not self._waiting:
            self._flush()

    def end(self) -> None:
        """Let the program read end of file behind what is queued."""
        self._ending = True
        if not self._waiting:
            self._flush()

    def close(self) -> None:
        """Stop writing; what is queued counts as taken."""
        self._wait(wait=False)
        self._io = None
        self._flush()

    def _flush(self) -> None:
        while self._queue:
            portion = self._queue[0]
            count = len(portion.data) if self._io is None else self._io.write(portion.data)
            portion.taken(count)
            if count < len(portion.data):
                portion.data = portion.data[count:]
                self._wait(wait=True)
                return
            self._queue.popleft()
        self._wait(wait=False)
        if self._ending:
            self._ending = False
            if self._io is not None:
                self._io.close_stdin()

    def _wait(self, *, wait: bool) -> None:
        if self._io is not None and wait is not self._waiting:
            self._waiting = wait
            self._io.call_when_writable(self._flush if wait else None)

"""Bytes on their way to a descriptor that may not take them now.

The kernel says when it takes more; nothing is copied that need not be. The queue is bounded by those
who fill it: they look at `queued` before they add, and at `drained` they go on.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class WriteQueue:
    """A queue in front of a non-blocking descriptor, which it does not own."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        *,
        drained: Callable[[], None],
        broken: Callable[[OSError], None],
    ) -> None:
        """`drained` is called whenever the queue becomes empty; `broken` once, at a failed write."""
        self._loop = loop
        self._fd = fd
        self._drained = drained
        self._broken = broken
        self._queue: deque[memoryview] = deque()
        self._waiting = False
        self._closed = False
        self.queued = 0
        """Bytes not yet taken by the kernel."""

    def write(self, data: bytes | memoryview) -> None:
        """Writes now what goes, and the rest later, in order."""
        if self._closed or not data:
            return
        view = memoryview(data)
        if not self._queue:
            view = view[self._try(view) :]
            if self._closed or not view:
                return
        self._queue.append(view)
        self.queued += len(view)
        if not self._waiting:
            self._waiting = True
            self._loop.add_writer(self._fd, self._writable)

    def close(self) -> None:
        """Stops writing; what is queued is dropped."""
        if self._waiting:
            self._loop.remove_writer(self._fd)
            self._waiting = False
        self._closed = True
        self._queue.clear()
        self.queued = 0

    def _writable(self) -> None:
        while self._queue:
            first = self._queue[0]
            count = self._try(first)
            if self._closed:
                return
            self.queued -= count
            if count < len(first):
                self._queue[0] = first[count:]
                return
            self._queue.popleft()
        self._loop.remove_writer(self._fd)
        self._waiting = False
        self._drained()

    def _try(self, view: memoryview) -> int:
        try:
            return os.write(self._fd, view)
        except BlockingIOError:
            return 0
        except OSError as exc:
            self.close()
            self._broken(exc)
            return 0

"""A queue of bytes in front of a descriptor that may be busy.

The event loop writes on when the kernel takes more, and bytes are not copied. Whoever fills the queue
bounds it, by looking at `queued` before writing and by waiting for `drained`.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class WriteQueue:
    """A queue in front of a non-blocking descriptor, which it doesn't own."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        *,
        drained: Callable[[], None],
        broken: Callable[[OSError], None],
    ) -> None:
        """Call `drained` whenever the queue has become empty, and `broken` once, if a write fails."""
        self._loop = loop
        self._fd = fd
        self._drained = drained
        self._broken = broken
        self._queue: deque[memoryview] = deque()
        self._waiting = False
        self._closed = False
        self.queued = 0
        """The number of bytes that the kernel has not taken yet."""

    def write(self, data: bytes | memoryview) -> None:
        """Write what the kernel takes now, and queue the rest."""
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
        """Stop writing, and drop what is queued."""
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

"""The queue between the event loop, which puts entries, and the thread that writes them.

Both share the interpreter, and a busy loop leaves the thread little of it. So a loop that has put too
many waits until some are taken, which takes some milliseconds; unless the thread is stuck, as it is on
a disk that doesn't answer.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moat.egress.traffic.entry import TrafficEntry

STALL_S: Final = 0.5
"""Seconds for which the loop waits for room, before it takes the thread for stuck."""
BATCH: Final = 4096
"""Entries that are taken at once: the work of a twentieth of a second."""
ROW_BYTES: Final = 200
"""Bytes that an entry takes on disk besides its path and bodies."""


class EntryQueue:
    def __init__(self, limit: int, limit_bytes: int, batch_bytes: int) -> None:
        """`limit`: entries that may wait; `limit_bytes`: what they may take; `batch_bytes`: at once."""
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._batch_bytes = batch_bytes
        self._entries: deque[TrafficEntry] = deque()
        self._put_bytes: int = 0
        """Bytes that were ever put; only the loop's thread counts them."""
        self._taken_bytes: int = 0
        """Bytes that were ever taken; only the writer's thread counts them."""
        self._stuck = False
        """The loop has waited for room in vain, and does so no more until something is taken."""
        self.has_more = False
        """More was waiting than was taken at last."""
        self._room = threading.Event()
        self._sleeping = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        """Ends a pause: the loop waits for room, or nobody puts any more."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        return self._holds(1)

    def _holds(self, times: int) -> bool:
        """Tell whether as much waits as the limits say, or so many times as much."""
        return (
            len(self._entries) >= times * self._limit
            or self._put_bytes - self._taken_bytes >= times * self._limit_bytes
        )

    # --- the loop's thread ---

    def accepts(self) -> bool:
        """Tell whether one more may be put: of what is going on already, something still comes."""
        return not self._holds(2)

    def put(self, entry: TrafficEntry) -> None:
        entry.queued = True
        entry.weight = ROW_BYTES + len(entry.path)
        if entry.request_body is not None or entry.response_body is not None:
            entry.weight += len(entry.request_body or b"") + len(entry.response_body or b"")
        self._put_bytes += entry.weight
        self._entries.append(entry)
        if self._sleeping:
            self._sleeping = False
            self._wake.set()
        if self.is_full and not self._stuck:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        self._room.clear()
        self._hurry.set()
        if self.is_full:
            self._stuck = not self._room.wait(STALL_S)

    def close(self) -> None:
        """Let nobody wait any more; what was put can still be taken."""
        self._closed = True
        self._hurry.set()
        self._wake.set()

    # --- the writer's thread ---

    def take(self) -> list[TrafficEntry]:
        """Take some entries, the oldest first."""
        batch: list[TrafficEntry] = []
        size = 0
        while self._entries and len(batch) < BATCH and size < self._batch_bytes:
            entry = self._entries.popleft()
            size += entry.weight
            # Before the entry is read: whoever changes it from now on puts it again.
            entry.queued = False
            batch.append(entry)
        self._taken_bytes += size
        self.has_more = bool(self._entries)
        self._stuck = False
        self._room.set()
        return batch

    def pause(self, seconds: float) -> bool:
        """Wait for so long at most; return whether `close` was called."""
        if not self._closed:
            self._hurry.wait(seconds)
            self._hurry.clear()
        return self._closed

    def sleep(self) -> None:
        """Wait for an entry, or for `close`. `put` sets the event only for a thread that sleeps."""
        self._wake.clear()
        self._sleeping = True
        if not self._entries and not self._closed:
            self._wake.wait()
        self._sleeping = False

"""Work that blocks, such as asking a supervisor or reading a store, done in threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


async def in_store(home: Path, act: Callable[[Store], T]) -> T:
    """Return what `act` returns, which gets a store of its own in a thread."""

    def work() -> T:
        with Store(home) as store:
            return act(store)

    return await asyncio.to_thread(work)


async def made_in_store(home: Path, make: Callable[[Store], T], discard: Callable[[T], None]) -> T:
    """Return what `make` has made; where nobody waits for it any more, `discard` it."""
    making = asyncio.create_task(in_store(home, make))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(lambda done: _discard(done, discard))
        raise


def _discard(done: asyncio.Task[T], discard: Callable[[T], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        discard(done.result())

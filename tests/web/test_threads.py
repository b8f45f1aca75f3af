"""Work in threads, and what becomes of its results."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from moat.errors import RunNotFoundError
from moat.web.threads import in_store

if TYPE_CHECKING:
    from pathlib import Path


async def test_results_and_errors_are_those_of_the_work(tmp_path: Path) -> None:
    """Which is done elsewhere, with a store."""
    assert await in_store(tmp_path, lambda store: store.all()) == []
    assert await in_store(tmp_path, lambda _: threading.current_thread()) is not (
        threading.current_thread()
    )
    with pytest.raises(RunNotFoundError):
        await in_store(tmp_path, lambda store: store.find("none"))


async def test_what_nobody_waits_for_is_discarded(tmp_path: Path) -> None:
    """Such as a connection that was made for a page that has left."""
    go = threading.Event()
    discarded: asyncio.Queue[str] = asyncio.Queue()

    def make(_: object) -> str:
        go.wait()
        return "made"

    waiting = asyncio.create_task(in_store(tmp_path, make, discarded.put_nowait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert await discarded.get() == "made"

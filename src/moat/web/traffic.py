"""The record of one run's network, on a page, as it grows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from moat.egress.traffic.reader import Filter, Follower, TrafficReader, is_readable
from moat.platform.inotify import FolderWatch
from moat.web import messages
from moat.web.tasks import until_first
from moat.web.threads import in_store

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

    from moat.web.messages import OpenTraffic

MOST_ROWS: Final = 500
"""Rows in one message, and rows of the past that a page begins with. Older ones are left out."""
_PAUSE_S: Final = 0.2
"""The shortest time between two messages: a run may make thousands of requests in it."""


async def serve(socket: ServerConnection, home: Path, asked: OpenTraffic) -> None:
    """Send rows as they come, until the page leaves. Raise `MoatError`."""
    folder = await in_store(home, lambda store: store.folder(store.find(asked.run).id))
    await until_first(_follow(socket, folder.root, folder.database), socket.wait_closed())


async def _follow(socket: ServerConnection, folder: Path, database: Path) -> None:
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    changed.set()
    with ExitStack() as stack:
        watch = stack.enter_context(FolderWatch(folder))

        def drain() -> None:
            watch.drain()
            changed.set()

        loop.add_reader(watch, drain)
        stack.callback(loop.remove_reader, watch)
        # One thread of its own: SQLite's connections stay in theirs.
        thread = stack.enter_context(ThreadPoolExecutor(1))
        rows = _Rows(database)
        stack.callback(thread.submit, rows.close)
        while True:
            await changed.wait()
            changed.clear()
            found, skipped = await loop.run_in_executor(thread, rows.news)
            if found or skipped:
                await socket.send(messages.write("traffic", rows=found, skipped=skipped))
                await asyncio.sleep(_PAUSE_S)


class _Rows:
    """The rows of one database, of which each is taken once, and again when it is completed."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._open = ExitStack()
        self._follower: Follower | None = None

    def news(self) -> tuple[list[dict[str, Any]], int]:
        """Return the newest rows, and how many before them are left out. Raises `StoreError`."""
        if self._follower is None:
            if not is_readable(self._database):
                return [], 0
            reader = self._open.enter_context(TrafficReader(self._database))
            after = reader.before_the_last(MOST_ROWS, Filter(), time.time())
            self._follower = Follower(reader, Filter(), after=after)
        count = 0
        newest: deque[dict[str, Any]] = deque(maxlen=MOST_ROWS)
        for row in self._follower.news(time.time()):
            count += 1
            newest.append(row.as_json())
        return list(newest), count - len(newest)

    def close(self) -> None:
        self._open.close()

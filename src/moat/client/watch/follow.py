"""Following what is written in a run's folder, for as long as something may be."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING

from moat.client.connect.request import Supervised, SupervisorLeftError
from moat.client.connect.restart_limit import Deaths
from moat.errors import RunNotActiveError
from moat.platform.inotify import FolderWatch
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.runs.store import Run, Store


def moments(store: Store, run: Run) -> Iterator[None]:
    """Whenever something may have been written; the last time when nothing will be any more.

    Meanwhile a supervisor that dies is replaced: without one the run stands still, and so would we.
    """
    folder = store.folder(run.id)
    ask = Supervised(store.home, folder)
    deaths = Deaths(store, run)
    with FolderWatch(folder.root) as changes:
        while not store.get(run.id).ended:
            try:
                with ask.until_ended() as supervisor:
                    readable = [changes]
                    while supervisor not in readable:
                        yield
                        readable, _, _ = select.select([changes, supervisor], [], [])
                        if changes in readable:
                            changes.drain()
                if not store.get(run.id).ended:
                    deaths.another()
            except RunNotActiveError:
                break
            except SupervisorLeftError as exc:
                deaths.another(exc)
    with suppress(FileNotFoundError):  # no supervisor has ever been there
        # It goes when it has written the last, or was killed: then there is no more.
        lock.wait_until_free(folder.supervisor_lock)
    yield

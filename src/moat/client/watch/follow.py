"""Following what is recorded in a run's folder, for as long as something may be."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moat.client.connect.restart_limit import RestartLimit
from moat.client.connect.supervisor_client import SupervisorClient, SupervisorLeftError
from moat.errors import RunNotActiveError
from moat.platform.inotify import FolderWatch
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.runs.store import Run, Store

_LEAVE_S: Final = 10.0


def follow(store: Store, run: Run) -> Iterator[None]:
    """Yield whenever something may have been recorded, and a last time when nothing will be any more.

    A supervisor that dies meanwhile is replaced: without one the run stands still. Raise
    `SupervisorError` where supervisors keep dying.
    """
    folder = store.folder(run.id)
    client = SupervisorClient(store.home, folder)
    limit = RestartLimit(store, run)
    with FolderWatch(folder.root) as changes:
        while not store.get(run.id).ended:
            try:
                with client.until_ended() as ended:
                    readable = [changes]
                    while ended not in readable:
                        yield
                        readable, _, _ = select.select([changes, ended], [], [])
                        if changes in readable:
                            changes.drain()
                if not store.get(run.id).ended:
                    limit.supervisor_died()
            except RunNotActiveError:
                break
            except SupervisorLeftError as exc:
                limit.supervisor_died(exc)
    with suppress(FileNotFoundError, TimeoutError):  # no supervisor has ever been there
        # It leaves once it has recorded everything, or was killed: either way nothing follows. One that
        # was stopped records nothing more.
        lock.wait_until_free(folder.supervisor_lock, _LEAVE_S)
    yield

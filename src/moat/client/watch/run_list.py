"""The list of runs: as it is now, and whenever it may have changed."""

from __future__ import annotations

import select
from contextlib import ExitStack
from typing import TYPE_CHECKING

from moat.errors import MoatError, RunNotActiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.platform.process import Process
    from moat.runs.store import Run, Store
    from moat.spec import RunId


class RunList:
    """The runs of a store, newest first.

    A run whose supervisor is gone stands still, and its row says nothing about it. So it gets another
    supervisor, which finds out what is left of the run. That is tried once: where it fails, the run is
    listed with the error.
    """

    def __init__(self, store: Store, *, ended: bool) -> None:
        """List the runs that have ended, too, with `ended`."""
        self._store = store
        self._ended = ended
        self._failures: dict[RunId, str] = {}
        """Runs whose supervisor can't be started, and why."""

    def read(self) -> list[Run]:
        known = self._store.all(ended=self._ended)
        gone = {run.id for run in self._store.without_folder(known)}
        orphans = {run.id for run in known if run.id not in gone and self._is_orphan(run)}
        for run in known:
            if run.id in orphans and run.id not in self._failures:
                self._adopt(run)
        if not orphans:
            return known
        fresh = {run.id: run for run in self._store.all()}
        runs = [fresh.get(run.id, run) for run in known]
        return [
            run._replace(error=self._failures[run.id])
            if run.id in orphans and run.id in self._failures
            else run
            for run in runs
            if self._ended or not run.ended
        ]

    def watch(self) -> Iterator[list[Run]]:
        """Yield the list, and again whenever a row has been written or a supervisor has died."""
        from moat.platform.inotify import FolderWatch  # noqa: PLC0415  a list that is shown once waits for nothing

        with FolderWatch(self._store.home) as changes:
            while True:
                with ExitStack() as opened:
                    # Opened before the list is read, so that no death is missed.
                    supervisors = self.supervisors(opened)
                    yield self.read()
                    waiting = select.poll()  # select(2) ends at descriptor 1023
                    for each in (changes, *supervisors):
                        waiting.register(each, select.POLLIN)
                    ready = [fd for fd, _ in waiting.poll()]
                if changes.fileno() in ready:
                    changes.drain()

    def supervisors(self, opened: ExitStack) -> list[Process]:
        """Return the processes that write the rows of the list; `opened` closes them."""
        from moat.platform.process import Process  # noqa: PLC0415  as above

        processes: list[Process] = []
        for run in self._store.all(ended=False):
            if run.supervisor_pid is None or run.id in self._failures:
                continue
            try:
                processes.append(opened.enter_context(Process(run.supervisor_pid)))
            except ProcessLookupError:
                continue  # dead already: the list that is read now gives the run another
        return processes

    def _is_orphan(self, run: Run) -> bool:
        if run.ended:
            return False
        from moat.client.connect.launch import is_supervised  # noqa: PLC0415  ended runs have none

        if is_supervised(self._store.folder(run.id)):
            self._failures.pop(run.id, None)
            return False
        return True

    def _adopt(self, run: Run) -> None:
        """Start a supervisor for the run, and wait until its row is true."""
        from moat.client.connect.supervisor_client import SupervisorClient  # noqa: PLC0415  as above

        try:
            client = SupervisorClient(self._store.home, self._store.folder(run.id))
            client.get("/v1/run", until="started")
        except MoatError as error:
            if error.code != RunNotActiveError.code:
                self._failures[run.id] = error.summary

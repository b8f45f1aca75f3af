"""Ending a run by force, whatever its supervisor does.

A supervisor can be replaced at any moment. So one that doesn't answer is killed, and the next one does
what was asked for. Where the sandbox doesn't obey that one either, it is killed without help.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moat.client.connect.patience import SupervisorStuckError
from moat.client.connect.supervisor_client import SupervisorClient
from moat.engines import registry
from moat.errors import RunNotActiveError
from moat.platform.process import Process
from moat.runs import lock

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.runs.store import Run, Store

# Who asks for force does not want to wait for the user's whole `answer_timeout`.
_PATIENCE_S: Final = 2.0


def kill(store: Store, run: Run) -> None:
    """Kill the run, and return when it has ended. Raise `RunNotActiveError` where it has already."""
    folder = store.folder(run.id)
    client = SupervisorClient(store.home, folder, _PATIENCE_S)
    try:
        client.post("/v1/kill")
    except SupervisorStuckError:
        kill_supervisor(folder)
        with suppress(RunNotActiveError):  # the first one has done it before it was stuck
            _kill_again(store, run)


def _kill_again(store: Store, run: Run) -> None:
    folder = store.folder(run.id)
    client = SupervisorClient(store.home, folder)
    try:
        client.post("/v1/kill")
    except SupervisorStuckError:
        registry.kill(store.get(run.id), folder)
        kill_supervisor(folder)
        client.get("/v1/run", until="ended")


def kill_supervisor(folder: RunFolder) -> None:
    """Kill the process that holds the run's supervisor lock, if there is one."""
    pid = lock.holder(folder.supervisor_lock)
    if pid is None:
        return
    with suppress(ProcessLookupError), Process(pid) as supervisor:
        # The lock is its own for life: who holds it now is no other process with its pid.
        if lock.holder(folder.supervisor_lock) == pid:
            supervisor.kill()

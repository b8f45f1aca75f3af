"""Removing a run, so that nobody writes it meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.client.connect.request import Supervised
from moat.engines import registry
from moat.engines.engine import UnsupportedSandboxError
from moat.errors import RunNotActiveError, StoreError, SupervisorError
from moat.runs import lock

if TYPE_CHECKING:
    from moat.runs.store import Run, Store


def remove(store: Store, run: Run, *, force: bool) -> None:
    """Raises `RunNotActiveError` for a run that has not ended, unless `force` kills it first."""
    folder = store.folder(run.id)
    if not run.ended:
        if not force:
            raise RunNotActiveError(
                f"run {run.name} is {run.state}", f"Stop it first, or: moat destroy -f {run.name}"
            )
        _kill(store, run)
    if not folder.root.exists():
        store.remove(run.id)
        return
    # A supervisor may still be handing last bytes to a slow viewer; it is told to go, and the lock
    # is ours when it has.
    if lock.is_locked(folder.supervisor_lock):
        _dismiss(store, run)
    try:
        with lock.locked(folder.launch_lock), lock.locked(folder.supervisor_lock):
            store.remove(run.id)
    except FileNotFoundError:
        return  # somebody else has removed it since we looked


def _kill(store: Store, run: Run) -> None:
    try:
        Supervised(store.home, store.folder(run.id)).post("/v1/kill")
    except RunNotActiveError:
        return  # it has ended by itself
    except UnsupportedSandboxError:
        registry.kill(run, store.folder(run.id))
    except SupervisorError:
        if _is_understood(store, run):
            raise
        registry.kill(run, store.folder(run.id))


def _is_understood(store: Store, run: Run) -> bool:
    try:
        store.spec(run.id)
    except StoreError:
        return False
    return True


def _dismiss(store: Store, run: Run) -> None:
    pid = store.get(run.id).supervisor_pid
    if pid is None:
        raise SupervisorError(f"run {run.name} has a supervisor that nobody knows", "Try again")
    try:
        os.kill(pid, 15)
    except ProcessLookupError:
        return  # gone since we looked

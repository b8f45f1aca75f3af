"""Removing a run, so that nobody writes to it meanwhile."""

from __future__ import annotations

import os
import shlex
import signal
from typing import TYPE_CHECKING

from moat.client.connect.supervisor_client import SupervisorClient
from moat.engines import registry
from moat.engines.engine import UnsupportedSandboxError
from moat.errors import RunNotActiveError, StoreError, SupervisorError
from moat.runs import lock
from moat.workspace import content_store

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.runs.store import Run, Store


def remove(store: Store, run: Run, *, force: bool) -> list[str]:
    """Remove a run; return what had to be done in its workspace.

    Raises `RunNotActiveError` where it has not ended, unless `force` kills it first.
    """
    folder = store.folder(run.id)
    if not run.ended:
        if not force:
            raise RunNotActiveError(
                f"run {run.name} is {run.state}", f"Stop it first, or: moat destroy -f {run.name}"
            )
        _kill(store, run)
    if not folder.root.exists():
        store.remove(run.id)
        _forget_workspace(store, run)
        return []
    # A supervisor may still be sending the last of the output to a slow viewer. It is asked to leave,
    # and the lock is ours once it has.
    if lock.is_locked(folder.supervisor_lock):
        _dismiss(store, run)
    try:
        with lock.locked(folder.launch_lock), lock.locked(folder.supervisor_lock):
            lines = _clean_workspace(run, folder)
            store.remove(run.id)
    except FileNotFoundError:
        return []  # another process has removed it meanwhile
    _forget_workspace(store, run)
    return lines


def _forget_workspace(store: Store, run: Run) -> None:
    """Delete what is kept of the removed run's workspace if no other run was started there."""
    root = os.path.realpath(run.workspace)
    if all(os.path.realpath(other.workspace) != root for other in store.all()):
        content_store.forget(store.home, root)


def _clean_workspace(run: Run, folder: RunFolder) -> list[str]:
    """Quarantine what the run has left in the workspace, if no supervisor could do it.

    Afterwards nobody would know any more what was there before the run.
    """
    if not folder.workspace_snapshot.exists():
        return []
    from moat.workspace import cleanup  # noqa: PLC0415  rarely needed

    try:
        return cleanup.clean_up(folder).lines()
    except (OSError, ValueError) as exc:
        raise StoreError(
            f"the workspace of run {run.name} can't be cleaned up: {exc}",
            "Look what the run left there before you use git in it, then: "
            f"rm {shlex.quote(str(folder.workspace_snapshot))}",
        ) from exc


def _kill(store: Store, run: Run) -> None:
    try:
        SupervisorClient(store.home, store.folder(run.id)).post("/v1/kill")
    except RunNotActiveError:
        return  # it has ended by itself
    except UnsupportedSandboxError:
        registry.kill(run, store.folder(run.id))
    except SupervisorError:
        if _has_readable_spec(store, run):
            raise
        registry.kill(run, store.folder(run.id))


def _has_readable_spec(store: Store, run: Run) -> bool:
    try:
        store.spec(run.id)
    except StoreError:
        return False
    return True


def _dismiss(store: Store, run: Run) -> None:
    """Ask the supervisor of a run that has ended to leave."""
    pid = store.get(run.id).supervisor_pid
    if pid is None:
        raise SupervisorError(f"the supervisor of run {run.name} is not in the index", "Try again")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has left meanwhile

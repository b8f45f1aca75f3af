"""Removing runs, so that nobody writes to one meanwhile.

Many runs are removed side by side: most of the time is spent waiting for their supervisors. Only one
thread uses the index.
"""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from moat.client import force
from moat.credentials import run_secrets
from moat.engines import registry
from moat.engines.engine import UnsupportedSandboxError
from moat.errors import (
    MoatError,
    RunNotActiveError,
    RunNotAppliedError,
    RunNotFoundError,
    StoreError,
    SupervisorError,
)
from moat.runs import lock
from moat.workspace import content_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from moat.paths import RunFolder
    from moat.runs.store import Run, Store
    from moat.runs.unfinished import Mark

# A supervisor that was asked to leave does so at once, whoever still reads its last output.
_LEAVE_S: Final = 5.0
# One that was killed is gone once it has had the processor, on a busy machine as well.
_DIE_S: Final = 60.0
# Each holds two locks open meanwhile.
_AT_ONCE: Final = 100
_THREADS: Final = 16


def remove(store: Store, run: Run, *, force: bool) -> list[str]:
    """Remove a run; return what had to be done in its workspace.

    Raises `RunNotActiveError` where it has not ended, unless `force` kills it first.
    """
    (removal,) = remove_all(store, [run], force=force)
    if removal.error is not None:
        raise removal.error
    return removal.quarantined


def remove_all(
    store: Store, runs: Sequence[Run], *, force: bool, keeps_work: bool | None = None
) -> Iterator[Removal]:
    """Remove runs as `remove` does, and yield what became of each, in their order.

    With `keeps_work`, which is so without force, a run stays if its copy of the workspace has changes
    that were not applied.
    """
    keeps = not force if keeps_work is None else keeps_work
    for start in range(0, len(runs), _AT_ONCE):
        chosen = runs[start : start + _AT_ONCE]
        removals = [Removal(store, run, force=force, keeps_work=keeps) for run in chosen]
        try:
            _remove(store, removals)
        finally:
            for each in removals:
                each.close()
        yield from removals


def remove_loose_folder(store: Store, run_id: str) -> list[str]:
    """Remove a folder that has no row; return what had to be done in its workspace.

    Raises `RunNotFoundError` where there is no such folder.
    """
    folder = store.folder(run_id)
    if run_id not in store.without_row():
        raise RunNotFoundError(f"no run {run_id!r}", "See them: moat list -a")
    held = lock.try_lock(folder.supervisor_lock)
    if held is None:
        raise RunNotActiveError(
            f"run {run_id} is not in the index, but its supervisor lives",
            "Enter it again: moat doctor --rebuild-index",
        )
    try:
        lines = _clean_workspace(folder, run_id)
        store.remove(run_id)
    finally:
        os.close(held)
    return lines


def _remove(store: Store, removals: Sequence[Removal]) -> None:
    _side_by_side(Removal.end, removals)
    for each in removals:
        if each.goes_on:
            each.take(Removal.keep_unapplied)
    # A supervisor may still be sending the last of the output to a slow viewer. It is asked to leave,
    # and the lock is ours once it has.
    pids = {run.id: run.supervisor_pid for run in store.all()}
    for each in removals:
        each.dismiss(pids.get(each.run.id))
    _side_by_side(Removal.wait, removals)
    for each in removals:
        if each.goes_on:  # one after the other: runs may share a workspace
            each.take(Removal.clean)
    _side_by_side(Removal.empty, removals)
    store.forget([each.run.id for each in removals if each.goes_on])
    _forget_workspaces(store, [each.run for each in removals if each.goes_on])
    _side_by_side(Removal.discard, removals)


def _forget_workspaces(store: Store, removed: Sequence[Run]) -> None:
    """Delete what is kept of the removed runs' workspaces if no other run was started there."""
    in_use = {os.path.realpath(run.workspace) for run in store.all()}
    copies = {os.path.realpath(store.folder(run.id).copy) for run in removed}
    for root in copies | {os.path.realpath(run.workspace) for run in removed} - in_use:
        content_store.forget(store.home, root)


def _side_by_side(step: Callable[[Removal], None], removals: Sequence[Removal]) -> None:
    """Take a step for all that are not done with."""
    going = [each for each in removals if each.goes_on]
    if len(going) < 2:
        for each in going:
            each.take(step)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  for many runs alone

    with ThreadPoolExecutor(_THREADS) as threads:
        for done in [threads.submit(each.take, step) for each in going]:
            done.result()


def _clean_workspace(folder: RunFolder, name: str) -> list[str]:
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
            f"the workspace of run {name} can't be cleaned up: {exc}",
            "Look what the run left there before you use git in it, then: "
            f"rm {shlex.quote(str(folder.workspace_snapshot))}",
        ) from exc


class Removal:
    """The removal of one run, step by step; it ends at the first one that fails."""

    def __init__(self, store: Store, run: Run, *, force: bool, keeps_work: bool) -> None:
        self.run = run
        self.error: MoatError | None = None
        """The reason why the run was not removed."""
        self.quarantined: list[str] = []
        """Lines about changes that had to be made in the run's workspace."""
        self._store = store
        self._folder = store.folder(run.id)
        self._force = force
        self._keeps_work = keeps_work
        self._gone = False
        """Another process has removed it meanwhile."""
        self._mark: Mark | None = None
        self._locks = ExitStack()

    @property
    def goes_on(self) -> bool:
        return self.error is None and not self._gone

    def take(self, step: Callable[[Removal], None]) -> None:
        try:
            step(self)
        except MoatError as error:
            self.error = error

    def end(self) -> None:
        """Kill the run, if it has not ended and that is wanted."""
        if self.run.ended:
            return
        if not self._folder.root.exists():
            # Nobody can supervise it any more: what is left of it is killed, asked for or not.
            registry.kill(self.run, self._folder)
            return
        if not self._force:
            raise RunNotActiveError(
                f"run {self.run.name} is {self.run.state}",
                f"Stop it first, or: moat destroy -f {self.run.name}",
            )
        try:
            force.kill(self._store, self.run)
        except RunNotActiveError:
            return  # it has ended by itself
        except UnsupportedSandboxError:
            registry.kill(self.run, self._folder)
        except SupervisorError:
            if self._has_readable_spec():
                raise
            registry.kill(self.run, self._folder)

    def keep_unapplied(self) -> None:
        """Raise `RunNotAppliedError` if work of the run is in its copy of the workspace alone."""
        if not self._keeps_work or not self._folder.copy.exists():
            return
        from moat.client.unapplied import has_unapplied  # noqa: PLC0415  for copies alone

        if has_unapplied(self._store, self.run.id):
            raise RunNotAppliedError(
                f"run {self.run.name} has changes in its copy that were not applied",
                f"Take them over: moat apply {self.run.name}; or drop them: moat destroy -f"
                f" {self.run.name}",
            )

    def _has_readable_spec(self) -> bool:
        try:
            self._store.spec(self.run.id)
        except StoreError:
            return False
        return True

    def dismiss(self, supervisor_pid: int | None) -> None:
        """Ask the supervisor of a run that has ended to leave."""
        if not self.goes_on or not lock.is_locked(self._folder.supervisor_lock):
            return
        if supervisor_pid is None:
            self.error = SupervisorError(
                f"the supervisor of run {self.run.name} is not in the index", "Try again"
            )
            return
        try:
            os.kill(supervisor_pid, signal.SIGTERM)
        except ProcessLookupError:
            return  # it has left meanwhile

    def wait(self) -> None:
        """Wait until nobody writes to the run any more."""
        if not self._folder.root.exists():
            return  # only the row is left
        try:
            for path in (self._folder.launch_lock, self._folder.supervisor_lock):
                self._hold(path)
        except FileNotFoundError:
            self._gone = True

    def _hold(self, path: Path) -> None:
        """Take a lock, for which a supervisor that doesn't leave is killed."""
        try:
            self._locks.enter_context(lock.locked(path, _LEAVE_S))
        except TimeoutError:
            force.kill_supervisor(self._folder)
        else:
            return
        try:
            self._locks.enter_context(lock.locked(path, _DIE_S))
        except TimeoutError:
            raise SupervisorError(
                f"a process still writes to run {self.run.name}", "Try again"
            ) from None

    def clean(self) -> None:
        self.quarantined = _clean_workspace(self._folder, self.run.name)

    def empty(self) -> None:
        """Delete what the sandbox wrote."""
        self._store.empty(self.run.id)
        self._mark = self._locks.enter_context(self._store.mark(self.run.id))

    def discard(self) -> None:
        self._store.discard(self.run.id)
        run_secrets.forget(self._store.home, self.run.id)
        if self._mark is not None:
            self._mark.clear()

    def close(self) -> None:
        """Let go of the locks, whose files are gone if the run is."""
        self._locks.close()

"""The store at a glance: its runs, what it takes of the disk, whether anything is amiss.

Nothing here asks a supervisor or an engine. What takes long to measure is measured for a moment, and the
answer says that there is more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat.credentials.vault import Vault
from moat.errors import MoatError
from moat.runs import lock
from moat.runs.disk import Measure
from moat.runs.states import ENDED
from moat.wire import spare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moat.runs.store import Store

PATIENCE_S: Final = 0.05
"""The time for what has to be measured, unless somebody waits for all of it."""
_RUNS: Final = "runs"
_PARTS: Final = {
    "snapshots": "snapshots",
    "state": "agents",
    "worktrees": "worktrees",
    "vault": "vault",
}
"""Folders of the store, and what users call their content; the others are summed up."""
_OTHER: Final = "other"


class StoreStatus(NamedTuple):
    """The facts of a store."""

    home: Path
    states: Mapping[str, int]
    """The number of runs in each state that has any."""
    waiting: int
    """Runs that wait for their user."""
    disk: Mapping[str, int]
    """Bytes by part."""
    complete: bool
    """All of these bytes were measured."""
    loose_folders: int
    """Folders of runs without a row."""
    lost_folders: int
    """Rows of runs without a folder."""
    vault: str
    """`none`, `ok` or `damaged`."""
    spare: bool
    """A process is ready from which the next start begins."""

    def as_json(self) -> dict[str, Any]:
        return {
            "store": str(self.home),
            "runs": {"total": sum(self.states.values()), **self.states},
            "waiting": self.waiting,
            "disk": {"total": sum(self.disk.values()), **self.disk},
            "complete": self.complete,
            "loose_folders": self.loose_folders,
            "lost_folders": self.lost_folders,
            "vault": self.vault,
            "spare": self.spare,
        }


def read_status(store: Store, *, everything: bool) -> StoreStatus:
    """Look at a store; with `everything`, until all is measured. Raises `StoreError`."""
    census = store.census()
    disk = {
        "journals": sum(each.journal for each in census),
        "records": sum(each.record for each in census),
        "private": sum(each.other for each in census),
    }
    measure = Measure(None if everything else PATIENCE_S)
    unmeasured = sum(each.unmeasured for each in census)
    if unmeasured:
        _measure_runs(store, measure, disk)
    _measure_store(store.home, measure, disk)
    folders, ids = _folders(store.home / _RUNS), store.ids()
    ended = {str(state) for state in ENDED}
    return StoreStatus(
        home=store.home,
        states={each.state: each.runs for each in census},
        waiting=sum(each.waiting for each in census if each.state not in ended),
        disk=disk,
        complete=measure.complete,
        loose_folders=len(folders - ids),
        lost_folders=len(ids - folders),
        vault=_vault(store.home),
        spare=_has_spare(store.home / spare.FOLDER),
    )


def _measure_runs(store: Store, measure: Measure, disk: dict[str, int]) -> None:
    """Add the runs that nobody has measured: those that go on, and those that died."""
    for run_id, known in store.disk_use().items():
        if known is not None:
            continue
        if measure.over:
            measure.complete = False
            return
        use = measure.run(store.folder(run_id))
        disk["journals"] += use.journal
        disk["records"] += use.record
        disk["private"] += use.other


def _measure_store(home: Path, measure: Measure, disk: dict[str, int]) -> None:
    """Add what lies beside the runs."""
    for name in sorted(_folders(home)):
        if name != _RUNS:
            part = _PARTS.get(name, _OTHER)
            disk[part] = disk.get(part, 0) + measure.folder(home / name)
    disk[_OTHER] = disk.get(_OTHER, 0) + sum(each.stat().st_size for each in home.glob("moat.db*"))


def _folders(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {each.name for each in entries if each.is_dir(follow_symlinks=False)}
    except OSError:
        return set()


def _vault(home: Path) -> str:
    """Tell whether the files of the vault can be read; its key is not asked for."""
    vault = Vault(home)
    try:
        _, unreadable = vault.survey()
    except (MoatError, OSError):
        return "damaged"
    if unreadable:
        return "damaged"
    return "ok" if vault.folder.exists() else "none"


def _has_spare(folder: Path) -> bool:
    with suppress(OSError):
        return any(lock.is_locked(each) for each in folder.glob("*.lock"))
    return False

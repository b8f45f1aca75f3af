"""Halves of runs in the store: folders without a run, runs without a folder, rests of removals."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.client.removal import remove_all, remove_loose_folder
from moat.errors import MoatError
from moat.runs import unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moat.runs.store import Run, Store

_REMOVED: Final = "removed-"


class Orphans(NamedTuple):
    """The halves of runs."""

    folders: list[str]
    """Ids of folders without a row in the index. A lost index leaves all runs like that."""
    rows: list[Run]
    """Runs whose folder is gone."""
    rests: list[Path]
    """Folders whose deletion has begun, and checkpoints of runs that are gone."""

    def __bool__(self) -> bool:
        return bool(self.folders or self.rows or self.rests)

    def lines(self) -> Iterator[str]:
        """Yield what each of them is."""
        yield from (f"the folder {each}, which is in no index" for each in self.folders)
        yield from (f"the run {each.name}, whose folder is gone" for each in self.rows)
        yield from (f"{each}, the rest of a run that was removed" for each in self.rests)


def find_orphans(store: Store) -> Orphans:
    """Return what belongs to no run. Raises `StoreError`."""
    busy = unfinished.marks(store.home) | store.ids()
    rests = [
        path
        for path in sorted(store.home.glob(f"{_REMOVED}*"))
        if path.name.removeprefix(_REMOVED) not in busy
    ]
    loose = store.without_row()
    heads = store.home / "heads"
    if heads.is_dir():
        known = busy | set(loose)
        rests += sorted(heads / each for each in set(os.listdir(heads)) - known)  # noqa: PTH208  names
    return Orphans(loose, store.without_folder(store.all()), rests)


def remove_orphans(store: Store, orphans: Orphans) -> Iterator[str]:
    """Remove them, and yield a line for each that can't be removed, and for what was done besides."""
    for run_id in orphans.folders:
        try:
            yield from remove_loose_folder(store, run_id)
        except MoatError as error:
            yield error.summary
    for removal in remove_all(store, orphans.rows, force=False):
        yield from removal.quarantined
        if removal.error is not None:
            yield removal.error.summary
    for path in orphans.rests:
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as exc:
            yield f"{path} can't be removed: {exc.strerror}"

"""The changes of a run, frozen at its end: what the user edits afterwards isn't shown as the run's."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from moat.atomic import replace_file
from moat.errors import MoatError, StoreError
from moat.runs import lock
from moat.spec import codec
from moat.workspace import changes
from moat.workspace.comparison import MAX_CHANGES, Copied, compare
from moat.workspace.content_store import load
from moat.workspace.contents import MAX_CHANGES_PACK, Pack, open_pack
from moat.workspace.history.history import History
from moat.workspace.history.record import END
from moat.workspace.history.taking import take_locked
from moat.workspace.tree_digest import TreeFiles
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from collections.abc import Generator

    from moat.paths import RunFolder
    from moat.workspace.changes import Changes
    from moat.workspace.manifest import Manifest


log = logging.getLogger(__name__)


def freeze(run: RunFolder) -> None:
    """Save what a run has changed, once it has ended, and take the snapshot of its end where one is due.

    Only the first call for a run does anything. It waits for the recorder, which after a short run is
    still reading the files of a large project. The record of the start goes, unless a snapshot needs it.
    """
    if not run.recorder_lock.exists() or run.changes.exists():
        return
    with lock.locked(run.recorder_lock):
        before = load(run.start_manifest)
        if before is None or run.changes.exists():
            return
        if not Path(before.root).is_dir():
            log.warning("the workspace %s is gone: what the run changed is unknown", before.root)
            return
        run.changed_contents.unlink(missing_ok=True)
        with open_pack(run.changed_contents) as file:
            new = Pack(file, MAX_CHANGES_PACK)
            found = _compare(run, before, new)
            new.flush()
        if found.changes:
            _take_last_snapshot(run)
        found = _with_trees(found, before)
        replace_file(run.changes, changes.dumps(found), durable=False)
        if History(run).empty:
            run.start_manifest.unlink()
            run.start_contents.unlink(missing_ok=True)


def _with_trees(found: Changes, before: Manifest) -> Changes:
    """Note what lay in the workspace before and after the changes."""
    files = TreeFiles(before)
    at_start = files.tree() if before.complete else None
    files.apply(found.changes)
    whole = at_start is not None and len(found.changes) < MAX_CHANGES
    return replace(found, before=at_start, after=files.tree() if whole else None)


def _take_last_snapshot(run: RunFolder) -> None:
    """Take the snapshot of the end, if the run's settings have one. The end stands without it."""
    try:
        spec = codec.loads(run.spec.read_text())
        if END in spec.snapshots.on and not spec.remove_at_end:
            take_locked(run, spec.snapshots, END)
    except (OSError, ValueError, MoatError) as exc:
        log.error("no snapshot of the end: %s", exc)  # noqa: TRY400  no traceback


@contextmanager
def changes_of(run: RunFolder, *, ended: bool) -> Generator[tuple[Changes, Pack]]:
    """Yield what a run has changed, up to its end or until now, and the contents.

    Raises `MoatError` if it isn't known what was there before, or can't be saved what has changed.
    """
    if ended:
        try:
            freeze(run)
        except OSError as exc:
            raise MoatError(
                f"the changes of run {run.id} can't be saved: {exc.strerror or exc}",
                f"Make room in {run.root}",
            ) from exc
        if run.changes.exists():
            with open_pack(run.changed_contents) as file:
                yield _saved(run), Pack(file, MAX_CHANGES_PACK)
            return
    before = load(run.start_manifest)
    if before is None:
        raise _no_manifest(run)
    with tempfile.TemporaryFile() as file:
        new = Pack(file, MAX_CHANGES_PACK)
        yield _compare(run, before, new), new


def _no_manifest(run: RunFolder) -> MoatError:
    if lock.is_locked(run.recorder_lock):
        return MoatError("the workspace is still being recorded", "Try again in a moment")
    return MoatError(
        "nothing was recorded of the workspace when the run started",
        f"An earlier version of Moat may have started it; else see {run.supervisor_log}",
    )


def _compare(run: RunFolder, before: Manifest, new: Pack) -> Changes:
    root = Path(before.root)
    if not root.is_dir():
        raise MoatError(f"the workspace {root} is gone", "Nothing can be compared with its start")
    after = take_manifest(root, before, hidden=before.hidden)
    with open_pack(run.start_contents) as file:
        old = Pack(file, os.fstat(file.fileno()).st_size)
        return compare(before, after, Copied(after.root, old, new))


def _saved(run: RunFolder) -> Changes:
    try:
        return changes.loads(run.changes.read_bytes())
    except (OSError, ValueError) as exc:
        raise StoreError(
            f"the changes of run {run.id} can't be read: {exc}",
            "Update moat if a newer one recorded them",
        ) from exc

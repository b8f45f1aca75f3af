"""Taking a snapshot: a scan of metadata, and the contents of what has changed since the newest one.

The run may be at work meanwhile. A file that changes while it is read is noted without its content; one
that changes afterwards is another file to the next snapshot. So a snapshot isn't one moment, but no file
in it is a mixture of two.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat.errors import MoatError
from moat.runs import lock
from moat.workspace.comparison import Recorded, compare
from moat.workspace.contents import FolderReader
from moat.workspace.history.blobs import Blobs, Seen
from moat.workspace.history.delta import applied, delta
from moat.workspace.history.history import History
from moat.workspace.history.record import ASKED, RESTORE, Head, Record
from moat.workspace.history.retention import expired
from moat.workspace.manifest import INODE, NOT_KEPT, Folder, is_file, is_folder, trusted
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.spec import Snapshots
    from moat.workspace.contents import Keeper
    from moat.workspace.manifest import Manifest


class Taken(NamedTuple):
    """A snapshot that was taken."""

    head: Head
    digest: str
    """The SHA-256 of its record."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self.head), "digest": self.digest}


def take(run: RunFolder, rules: Snapshots, reason: str, label: str = "") -> Taken | None:
    """Take a snapshot; return `None` where Moat wants one by itself and nothing has changed.

    Waits for the recorder of the start, and for other snapshots of the run. Raises `MoatError`.
    """
    try:
        with lock.locked(run.recorder_lock):
            return take_locked(run, rules, reason, label)
    except OSError as exc:
        raise MoatError(
            f"the snapshot can't be taken: {exc.strerror or exc}", f"Make room in {run.root}"
        ) from exc


def take_locked(run: RunFolder, rules: Snapshots, reason: str, label: str = "") -> Taken | None:
    """Take a snapshot as `take` does, where the caller holds the recorder's lock.

    Raises `OSError` where it can't be saved.
    """
    history = History(run)
    start, latest = _known(history)
    manifest = _scan(start, latest)
    wanted = reason in {ASKED, RESTORE}
    blobs = Blobs(history.blobs, rules.limit, start, durable=wanted)
    _read_changed(manifest, start, blobs)
    changes = compare(latest, manifest, Recorded()).changes
    if not wanted and all(each.generated for each in changes):
        return None
    head = Head(
        number=history.next_number(),
        taken_at=manifest.taken_at,
        reason=reason,
        label=label,
        files=_count_files(manifest),
        changed=len(changes),
        unkept=blobs.unkept,
        too_large=blobs.too_large,
        complete=manifest.complete,
    )
    history.save(Record(head, delta(start, manifest)))
    taken = Taken(head, history.digest(head.number))
    if reason != RESTORE:  # what is about to be restored mustn't expire over it
        old = expired(history.heads(), rules.keep, rules.max_age, time.time_ns())
        if old:
            history.remove(old)
    return taken


def newest(run: RunFolder, reason: str) -> Taken | None:
    """Return the newest snapshot that was taken for a reason. Raises `StoreError` as `History` does."""
    history = History(run)
    for head in reversed(history.heads()):
        if head.reason == reason:
            return Taken(head, history.digest(head.number))
    return None


def look(history: History) -> Manifest:
    """Return what lies in the workspace at this moment, by what the contents are, and keep nothing."""
    start, latest = _known(history)
    manifest = _scan(start, latest)
    _read_changed(manifest, start, Seen())
    return manifest


def _known(history: History) -> tuple[Manifest, Manifest]:
    """Return the manifests of the start and of the newest snapshot, which may be the same."""
    start = history.start()
    heads = history.heads()
    latest = applied(start, history.load(heads[-1].number).difference) if heads else start
    return start, latest


def _scan(start: Manifest, latest: Manifest) -> Manifest:
    root = Path(start.root)
    if not root.is_dir():
        raise MoatError(f"the workspace {root} is gone", "There is nothing to take a snapshot of")
    manifest = take_manifest(root, trusted(latest), hidden=start.hidden)
    return replace(manifest, pack=start.pack)


def _read_changed(manifest: Manifest, start: Manifest, keeper: Keeper) -> None:
    """Read the files that are new or changed since the start, and whose content isn't known."""
    skipped = set(manifest.generated)
    for path, folder in manifest.folders.items():
        if path and path.rpartition("/")[0] in skipped:
            skipped.add(path)  # in a folder that tools fill; parents come before children
        if path in skipped:
            continue
        first = start.folders.get(path, _NOTHING)
        names = [name for name in folder.entries if _is_due(name, folder, first)]
        if names:
            _read(manifest.root, path, folder, names, keeper)


def _is_due(name: str, folder: Folder, first: Folder) -> bool:
    status, content = folder.entries[name], folder.contents.get(name)
    if first.entries.get(name) == status:
        # Where the start hasn't read it, it was too much to read; but it may have been read too early.
        return content is None and name in first.contents
    return is_file(status) and (content is None or content[1] == NOT_KEPT)


def _read(root: str, path: str, folder: Folder, names: list[str], keeper: Keeper) -> None:
    try:
        opened = FolderReader(root, path, folder.status[INODE])
    except OSError:
        return  # something else has taken its place, such as a link to itself: the next one sees it
    with opened as reader:
        for name in names:
            content = reader.keep(name, folder.entries[name], keeper)
            if content is not None:
                folder.contents[name] = content


def _count_files(manifest: Manifest) -> int:
    return sum(
        not is_folder(status)
        for folder in manifest.folders.values()
        for status in folder.entries.values()
    )


_NOTHING: Final = Folder((0, 0, 0, 0, 0))

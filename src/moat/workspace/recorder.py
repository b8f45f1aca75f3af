"""The recorder: a process that records what lies in a workspace when a run starts.

The user waits for a start, so it doesn't wait for the recorder, which runs beside it. What the recorder
records is nevertheless the state at one moment, the one when it was started: a file whose ctime is older
has not changed since, and no run can forge one. A file that did change before the recorder came to it is
noted as late, with what is known of it from an earlier run.

First come the metadata: a tenth of a second for 40,000 files, most of it before the sandbox is made.
Then it reads the files whose content isn't known from an earlier run, with the lowest priority.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.runs import lock
from moat.workspace import manifest as manifests
from moat.workspace.content_store import ContentStore, forget, new_pack_name
from moat.workspace.contents import MAX_HASHED, FolderReader, Pack
from moat.workspace.manifest import CTIME, INODE, SIZE, Folder, Manifest, is_file, join
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.paths import RunFolder

log = logging.getLogger(__name__)

# The start itself goes first where processors are few: what changes before it is recorded is known.
_LOWER_PRIORITY: Final = 10
_LOWEST_PRIORITY: Final = 19
_FIRST_DESCRIPTOR: Final = 3
_UNKNOWN: Final = Folder((0, 0, 0, 0, 0))
# The clock of file systems, up to a tick behind the precise one (linux/time.h).
_CLOCK_REALTIME_COARSE: Final = 5


def begin(run: RunFolder, workspace: str, exclude: Iterable[str], *, is_copy: bool = False) -> None:
    """Start the recorder, for a run whose command hasn't been started yet.

    It is a fork, which begins at once: an interpreter of its own would take longer to start than most
    projects to record. The process may have no other thread, and nothing that has to be closed.

    A copy was made just now, so its files are as new as the start, and nothing in it can be told to be
    late. But nobody works there yet: the metadata are recorded before this returns.
    """
    root = os.path.realpath(workspace)
    started_at = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
    taken = _manifest_of_copy(root, exclude) if is_copy else None
    with lock.locked(run.recorder_lock) as held:
        if os.fork():
            return
        try:
            # The locks of the supervisor above all: whoever waits for it doesn't wait for its recorder.
            os.closerange(_FIRST_DESCRIPTOR, held)
            os.closerange(held + 1, os.sysconf("SC_OPEN_MAX"))
            _record(run, root, started_at, exclude, taken)
        finally:
            os._exit(0)


def _record(
    run: RunFolder, root: str, started_at: int, exclude: Iterable[str], taken: Manifest | None
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    os.nice(_LOWER_PRIORITY)
    gc.disable()  # a manifest is hundreds of thousands of objects, and none of them is ever in a cycle
    try:
        record(run, root, started_at, hidden_paths(root, exclude), taken)
    except OSError as exc:
        log.error("the workspace was not recorded: %s", exc)  # noqa: TRY400  no traceback
    except Exception:
        log.exception("the workspace was not recorded")
        raise


def _manifest_of_copy(root: str, exclude: Iterable[str]) -> Manifest | None:
    try:
        return take_manifest(Path(root), hidden=hidden_paths(root, exclude))
    except OSError as exc:
        log.error("the copy of the workspace was not recorded: %s", exc)  # noqa: TRY400  no traceback
        return None


def hidden_paths(root: str, exclude: Iterable[str]) -> set[str]:
    """Return the paths below `root` that a run doesn't see, with symbolic links resolved.

    A path that leads elsewhere is ignored: the run is refused because of it, or needs no cover.
    """
    real = (os.path.realpath(f"{root}/{each}") for each in exclude)
    return {each[len(root) + 1 :] for each in real if each.startswith(f"{root}/")}


def record(
    run: RunFolder, root: str, started_at: int, hidden: set[str], taken: Manifest | None = None
) -> None:
    """Save the run's manifest, `taken` or taken now, then the contents of the files in it."""
    store = ContentStore(run.root.parent.parent, root)
    known = store.load()
    manifest = taken or take_manifest(Path(root), known, hidden=hidden)
    if taken is None:
        _mark_late(manifest, known, started_at)
    if known is not None and not _unread(manifest) and store.link_pack(known.pack, run):
        _save(manifest, run)
        return
    _save(manifest, run)  # now: this process may be killed while it reads
    os.nice(_LOWEST_PRIORITY - _LOWER_PRIORITY)
    with store.locked():
        newest = store.load() or Manifest(0, pack=new_pack_name())
        _take_over(manifest, newest)
        with store.pack(manifest.pack) as pack:
            for path in _unread(manifest):
                _read(manifest, path, pack)
        store.link_pack(manifest.pack, run)
        _save(manifest, run)
        if taken is None:
            store.save(manifest)
    if taken is not None:
        forget(run.root.parent.parent, root)  # no other run will start in a copy


def _save(manifest: Manifest, run: RunFolder) -> None:
    try:
        replace_file(run.start_manifest, manifests.dumps(manifest), durable=False)
    except FileNotFoundError:
        log.info("the run was removed meanwhile")


def _mark_late(manifest: Manifest, known: Manifest | None, started_at: int) -> None:
    """Find what has changed since the start, and put what is known of it from before in its place."""
    for path, folder in manifest.folders.items():
        before = known.folders.get(path) if known is not None else None
        if folder.status[CTIME] >= started_at:
            manifest.late.append(path)
            _restore_names(folder, before)
        for name in [name for name in folder.entries if folder.entries[name][CTIME] >= started_at]:
            manifest.late.append(join(path, name))
            _restore(folder, name, before)


def _restore_names(folder: Folder, before: Folder | None) -> None:
    for name in before.entries if before is not None else ():
        if name not in folder.entries:
            _restore(folder, name, before)


def _restore(folder: Folder, name: str, before: Folder | None) -> None:
    """Put an entry back as it was when it was last seen, or leave it out if it never was."""
    for mine in (folder.entries, folder.contents, folder.targets):
        mine.pop(name, None)
    if before is not None and name in before.entries:
        folder.entries[name] = before.entries[name]
        if name in before.contents:
            folder.contents[name] = before.contents[name]
        if name in before.targets:
            folder.targets[name] = before.targets[name]


def _unread(manifest: Manifest) -> list[str]:
    """Return the folders in which there are files whose content isn't known and is to be kept."""
    skipped = set(manifest.generated)
    found: list[str] = []
    for path, folder in manifest.folders.items():
        if path.rpartition("/")[0] in skipped and path:
            skipped.add(path)  # in a folder that tools fill; parents come before children
        if path not in skipped and any(_is_unread(folder, name) for name in folder.entries):
            found.append(path)
    return found


def _is_unread(folder: Folder, name: str) -> bool:
    status = folder.entries[name]
    return name not in folder.contents and is_file(status) and status[SIZE] <= MAX_HASHED


def _read(manifest: Manifest, path: str, pack: Pack) -> None:
    folder = manifest.folders[path]
    try:
        with FolderReader(manifest.root, path, folder.status[INODE]) as reader:
            for name, status in folder.entries.items():
                if _is_unread(folder, name):
                    content = reader.keep(name, status, pack)
                    if content is not None:
                        folder.contents[name] = content
    except OSError as exc:
        log.info("%s was not read: %s", path, exc.strerror)


def _take_over(manifest: Manifest, newest: Manifest) -> None:
    """Take the contents of unchanged files from what another recorder may have saved meanwhile."""
    manifest.pack = newest.pack
    for path, folder in manifest.folders.items():
        other = newest.folders.get(path, _UNKNOWN)
        folder.contents = {
            name: content
            for name, content in other.contents.items()
            if folder.entries.get(name) == other.entries[name]
        }

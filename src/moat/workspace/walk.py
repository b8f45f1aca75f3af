"""The walk through a folder that makes a manifest of it.

A run may be at work in the folder. No symbolic link is followed: each folder is opened by its path and
is then compared with what its parent, opened in the same way, has under that name.
"""

from __future__ import annotations

import os
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from moat.workspace.generated import is_generated
from moat.workspace.manifest import INODE, Content, Folder, Manifest, Status, is_folder, join

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# A bound on what a hostile run can make us look at: more than the largest monorepo has.
MAX_ENTRIES: Final = 1_000_000

OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOTHING: Final[frozenset[str]] = frozenset()


def take_manifest(
    root: Path,
    known: Manifest | None = None,
    *,
    hidden: Collection[str] = (),
    limit: int = MAX_ENTRIES,
) -> Manifest:
    """Return a manifest of `root`, which must be a folder.

    `known` is an earlier manifest: the contents of files that haven't changed since are taken from it.
    Nothing `hidden` is looked at. Folders that can't be listed are noted.
    """
    return _Walk(str(root), known or Manifest(0), frozenset(hidden), limit).run()


def status_of(status: os.stat_result) -> Status:
    return (
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    )


class _Walk:
    def __init__(self, root: str, known: Manifest, hidden: frozenset[str], limit: int) -> None:
        self._root = root
        self._known = known
        self._late = known.folders_of_late()
        self._hidden = hidden
        self._left = limit
        self._manifest = Manifest(time.time_ns(), root, sorted(hidden), pack=known.pack)
        # The path and status of each folder ahead, the names beside it, and whether tools fill it.
        self._ahead: deque[tuple[str, Status, Collection[str], bool]] = deque()
        # What tools fill comes last: the user's own files are to be recorded first.
        self._generated_ahead: deque[tuple[str, Status, Collection[str], bool]] = deque()

    def run(self) -> Manifest:
        manifest = self._manifest
        self._ahead.append(("", status_of(os.lstat(self._root)), _NOTHING, False))
        while ahead := self._ahead or self._generated_ahead:
            if self._left <= 0:
                manifest.complete = False
                break
            path, status, beside, generated = ahead.popleft()
            folder = self._folder(path, status)
            if folder is None:
                continue
            manifest.folders[path] = folder
            if not generated and is_generated(_name(path), folder.entries, beside):
                generated = True
                manifest.generated.append(path)
            later = self._generated_ahead if generated else self._ahead
            for name, each in folder.entries.items():
                if not is_folder(each):
                    break  # the folders come first
                later.append((join(path, name), each, folder.entries, generated))
        return manifest

    def _folder(self, path: str, status: Status) -> Folder | None:
        known = self._known.folders.get(path)
        if (
            known is not None
            and not known.entries
            and known.status == status
            and self._known.settled(status)
            and path not in self._late
        ):
            self._left -= 1
            return known  # as empty as it was: most folders of some trees are
        try:
            descriptor = os.open(f"{self._root}/{path}", OPEN_FOLDER)
        except FileNotFoundError:
            return None
        except OSError:
            self._manifest.unreadable.append(path)
            return Folder(status)
        try:
            opened = os.fstat(descriptor)
            if opened.st_ino != status[INODE]:
                return None  # another folder has taken its place: its parent has changed as well
            return self._listed(descriptor, path, status_of(opened), known)
        except OSError:
            self._manifest.unreadable.append(path)
            return Folder(status)
        finally:
            os.close(descriptor)

    def _listed(self, descriptor: int, path: str, status: Status, known: Folder | None) -> Folder:
        hidden = self._hidden
        folders: dict[str, Status] = {}
        others: dict[str, Status] = {}
        links: list[str] = []
        with os.scandir(descriptor) as entries:
            for entry in islice(entries, self._left):
                name = entry.name
                if hidden and join(path, name) in hidden:
                    continue
                try:
                    each = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                now = (
                    each.st_mode,
                    each.st_size,
                    each.st_mtime_ns,
                    each.st_ctime_ns,
                    each.st_ino,
                )
                if entry.is_dir(follow_symlinks=False):
                    folders[name] = now
                    continue
                others[name] = now
                if entry.is_symlink():
                    links.append(name)
        self._left -= 1 + len(others)
        if self._left - len(folders) <= 0:
            self._manifest.complete = False  # there may be more in it
        folder = Folder(status, folders | others)
        if known is not None and known.contents:
            folder.contents = _still_known(known, folder)
        for name in links:
            folder.targets[name] = self._target(descriptor, name, folder, known)
        return folder

    def _target(self, descriptor: int, name: str, folder: Folder, known: Folder | None) -> str:
        status = folder.entries[name]
        is_known = known is not None and known.entries.get(name) == status
        if known is not None and is_known and self._known.settled(status):
            return known.targets.get(name, "")
        try:
            return os.readlink(name, dir_fd=descriptor)
        except OSError:
            return ""  # it has gone, or isn't a link any more: the next look will see that


def _still_known(known: Folder, folder: Folder) -> dict[str, Content]:
    before, now = known.entries, folder.entries
    if before == now:
        return known.contents.copy()
    return {name: each for name, each in known.contents.items() if now.get(name) == before[name]}


def _name(path: str) -> str:
    return path.rpartition("/")[2]

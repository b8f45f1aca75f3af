"""A copy of a workspace, for a run that works on it in the original's place.

An earlier run may have made anything in the workspace, and another one may be at work there. So folders
and files are opened by the descriptor of the folder that they lie in, no symbolic link is followed, and
a file that changes while it is read is read again. What was copied is noted as it was (a `Manifest` of
the original), so that it is known later what has changed there since.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError, UsageError
from moat.workspace.file_copy import FileCopier
from moat.workspace.git_layout import repository_of_worktree
from moat.workspace.manifest import Folder, Manifest, is_folder, join
from moat.workspace.patch import kind_of
from moat.workspace.recorder import hidden_paths
from moat.workspace.walk import MAX_ENTRIES, OPEN_FOLDER, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable

    from moat.workspace.manifest import Status

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PERMISSIONS: Final = 0o777  # a copy lends nobody's rights (setuid, setgid)
_MAX_DEPTH: Final = 150
"""Folders within folders: each is open twice while those in it are copied."""
_MAX_SKIPPED: Final = 1_000
_TRIES: Final = 3
_REPLACED: Final = frozenset((errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL))
"""Errors of an entry that isn't any more what it was when its folder was listed."""


@dataclass(slots=True)
class Copied:
    """The outcome of copying a workspace."""

    manifest: Manifest
    """The original as it was copied."""
    files: int = 0
    size: int = 0
    """Bytes of the files together."""
    shared: bool = False
    """The files share their contents with the original's, and so take no room."""
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Paths that aren't in the copy, each with the reason."""


def copy_workspace(
    source: str, target: Path, exclude: Iterable[str], progress: Callable[[], None] = lambda: None
) -> Copied:
    """Copy the folder `source` to `target`, which doesn't exist yet.

    What is excluded is there in name alone. `progress` is called after each folder. Raises `UsageError`
    for a folder that can't be worked on in a copy, and `MoatError` where it can't be copied, such as for
    want of room. What was copied until then is left to the caller.
    """
    root = os.path.realpath(source)
    repository = repository_of_worktree(Path(root))
    if repository is not None:
        raise UsageError(
            f"{source} is a linked worktree of git, and shares {repository} with others",
            "Copy the repository's own folder, or work on a branch: moat run --worktree BRANCH",
        )
    try:
        target.mkdir(mode=0o700)
        with _opened(root, OPEN_FOLDER) as theirs, _opened(str(target), OPEN_FOLDER) as new:
            return _Copier(root, hidden_paths(root, exclude), progress).run(theirs, new)
    except OSError as exc:
        raise MoatError(
            f"{source} can't be copied to {target.parent}: {exc.strerror}",
            "Make room there, or work on the folder itself: without --copy, or with --no-copy",
        ) from exc


class _Copier:
    def __init__(self, root: str, hidden: Collection[str], progress: Callable[[], None]) -> None:
        self._hidden = frozenset(hidden)
        self._progress = progress
        self._files = FileCopier()
        self._left = MAX_ENTRIES
        self._copied = Copied(Manifest(time.time_ns(), root, sorted(hidden)))

    def run(self, source: int, target: int) -> Copied:
        self._folder(source, target, "", 0)
        copied = self._copied
        copied.shared = bool(copied.files) and self._files.shared * 2 >= copied.files
        return copied

    def _skip(self, path: str, reason: str) -> None:
        if len(self._copied.skipped) < _MAX_SKIPPED:
            self._copied.skipped.append((path, reason))

    def _folder(self, source: int, target: int, path: str, depth: int) -> None:
        status = os.fstat(source)
        folder = Folder(status_of(status))
        self._copied.manifest.folders[path] = folder
        with os.scandir(source) as entries:
            names = sorted(each.name for each in entries)
        self._left -= len(names)
        if self._left < 0:
            raise UsageError(
                f"there are more than {MAX_ENTRIES} files to copy",
                "Work on the folder itself, or on a part of it",
            )
        found: dict[str, Status] = {}
        for name in names:
            inner = join(path, name)
            try:
                copied = self._entry(source, target, name, inner, depth)
            except FileNotFoundError:
                continue  # it has gone since the folder was listed
            except PermissionError as exc:
                self._skip(inner, exc.strerror or str(exc))
                continue
            except OSError as exc:
                if exc.errno not in _REPLACED:
                    raise
                self._skip(inner, "was replaced while it was copied")
                continue
            if copied is not None:
                found[name] = copied
                if stat.S_ISLNK(copied[0]):
                    folder.targets[name] = os.readlink(name, dir_fd=target)
        # In a manifest, the folders come first.
        folder.entries = dict(sorted(found.items(), key=lambda each: not is_folder(each[1])))
        os.fchmod(target, status.st_mode & _PERMISSIONS)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._progress()

    def _entry(self, source: int, target: int, name: str, path: str, depth: int) -> Status | None:
        """Copy one entry; return its status, or `None` where it isn't copied."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if path in self._hidden:
            self._make_hidden(target, name, status.st_mode)
            return None
        if stat.S_ISDIR(status.st_mode):
            return self._inner_folder(source, target, name, path, depth)
        if stat.S_ISREG(status.st_mode):
            return self._file(source, target, name, path)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
            return status_of(status)
        self._skip(path, f"is a {kind_of(status.st_mode)}")
        return None

    def _make_hidden(self, target: int, name: str, mode: int) -> None:
        """Make something of that name, over which the sandbox has a cover."""
        if stat.S_ISDIR(mode):
            os.mkdir(name, 0o700, dir_fd=target)
        else:
            os.close(os.open(name, _WRITE, 0o600, dir_fd=target))

    def _inner_folder(
        self, source: int, target: int, name: str, path: str, depth: int
    ) -> Status | None:
        if depth == _MAX_DEPTH:
            self._skip(path, f"lies in more than {_MAX_DEPTH} folders")
            return None
        with _opened(name, OPEN_FOLDER, source) as theirs:
            os.mkdir(name, 0o700, dir_fd=target)
            with _opened(name, OPEN_FOLDER, target) as new:
                self._folder(theirs, new, path, depth + 1)
            return status_of(os.fstat(theirs))

    def _file(self, source: int, target: int, name: str, path: str) -> Status | None:
        with _opened(name, _READ, source) as theirs:
            before = os.fstat(theirs)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), path)
            settled = False
            with _opened(name, _WRITE, target) as new:
                for tries in range(_TRIES):
                    if tries:
                        os.ftruncate(new, 0)
                    self._files.copy(theirs, new, before.st_size)
                    after = os.fstat(theirs)
                    settled = status_of(before) == status_of(after)
                    before = after
                    if settled:
                        break
                os.fchmod(new, before.st_mode & _PERMISSIONS)
                os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._copied.files += 1
        self._copied.size += before.st_size
        if not settled:
            self._skip(path, "was written all the time: its copy may be a mixture")
            return None
        return status_of(before)


@contextmanager
def _opened(name: str, flags: int, folder: int | None = None) -> Generator[int]:
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

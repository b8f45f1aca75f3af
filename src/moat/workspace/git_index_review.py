"""The review of git's index after a run, so that `git status` and `git diff` show what the run changed.

A copy of the index is made before the run, which is cheap. Only if a run has written the index is it
read: flags that hide files are taken off if they are new, and what git would believe unseen is taken
out. Git finds it out again with the next `git status`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import entries, git_config, git_index, git_layout, git_split_index
from moat.workspace.beneath import SymbolicLinkError, open_beneath, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.beneath import PathHandle
    from moat.workspace.git_index import Index, IndexEntry

INDEX: Final = "index"
_SHARED: Final = "sharedindex."

# Half a million files, and a bound on what a hostile run can make the next start copy.
_MAX_BYTES: Final = 64 * 1024 * 1024
# Files that a run has changed are read to see whether they are what the index says. Beyond this bound
# git is left to do it.
_MAX_CONTENT: Final = 256 * 1024 * 1024

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnreadableIndexError(Exception):
    """The index is no file, or too large; the text says which."""


def read_index(git: PathHandle, size: int) -> tuple[bytes, int] | None:
    """Return the index of an open git folder and the time (ns) of its last writing; `None` without one.

    One that is split is joined. Raises `UnreadableIndexError` or `BadIndexError`.
    """
    found = _read(git, INDEX)
    if found is None or not any(name.startswith(_SHARED) for name in entries.list_names(git)):
        return found
    index = git_index.parse(found[0], size)
    name = git_split_index.shared_name(index)
    shared = None if name is None else _read(git, name)
    if shared is None:
        return found
    return git_split_index.join(index, git_index.parse(shared[0], size)), found[1]


def _read(git: PathHandle, name: str) -> tuple[bytes, int] | None:
    try:
        descriptor = os.open(name, _READ, dir_fd=git.descriptor)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise UnreadableIndexError(exc.strerror) from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableIndexError("it is not a file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(_MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MAX_BYTES:
        raise UnreadableIndexError("it is too large")
    return data, status.st_mtime_ns


def copy_index(git: PathHandle, copy: Path, size: int) -> bool:
    """Keep a copy of the index; return False where there is none that could be compared later."""
    try:
        found = read_index(git, size)
    except (UnreadableIndexError, git_index.BadIndexError):
        return False
    data, written_at = found or (b"", 0)
    copy.write_bytes(data)
    os.utime(copy, ns=(written_at, written_at))
    return True


def put_back(git: PathHandle, copy: Path) -> str:
    """Put an index that can't be read aside, and the one of before in its place; say what was done."""
    done = f"renamed to {entries.set_aside(git, INDEX)}"
    data = copy.read_bytes()
    if not data:
        return done
    _replace(git, data)
    # Git looks at the content of files that are as new as the index.
    written_at = copy.stat().st_mtime_ns
    os.utime(INDEX, ns=(written_at, written_at), dir_fd=git.descriptor, follow_symlinks=False)
    return f"{done}, and put back"


def hash_size(git: Path) -> int:
    """Return the size of object names in the repository of a git folder."""
    config = git_layout.read_config(git_layout.common_folder(git) / "config") or ""
    settings = git_config.parse(config)[0]
    formats = [each.value for each in settings if each.name == "extensions.objectformat"]
    return git_index.SHA256 if formats[-1:] == ["sha256"] else git_index.SHA1


def review_index(
    git: PathHandle, copy: Path, worktree: Path, *, size: int, since: int
) -> Iterator[tuple[PurePosixPath, str]]:
    """Make the index show what a run changed; yield the files that it hid, and the flag that did it.

    One that is split is then a whole one. `copy` was made before the run, at the time `since` (ns).
    Raises `UnreadableIndexError`, `BadIndexError` or `OSError`.
    """
    found = read_index(git, size)
    data_before, written_before = copy.read_bytes(), copy.stat().st_mtime_ns
    if found is None or found == (data_before, written_before):
        return
    index = git_index.parse(found[0], size)
    if git_split_index.shared_name(index) is not None:
        raise UnreadableIndexError("its shared part is missing")
    shown = _newly_hidden(index, data_before)
    if any(entry.is_sparse_folder for entry in shown):
        raise UnreadableIndexError("it leaves folders out")
    stale = list(_stale(index, worktree, since))
    made = git_index.without_caches(index, shown, stale)
    raw = _read(git, INDEX)
    if raw is None or made != raw[0]:
        _replace(git, made)
    for entry in shown:
        yield PurePosixPath(os.fsdecode(entry.path)), entry.hidden_by or ""


def _newly_hidden(index: Index, data_before: bytes) -> list[IndexEntry]:
    hidden = [entry for entry in index.entries if entry.hidden_by is not None]
    if not hidden or not data_before:
        return hidden
    before = git_index.parse(data_before, index.hash_size)
    flags = {entry.path: entry.hidden_by for entry in before.entries}
    return [entry for entry in hidden if flags.get(entry.path) != entry.hidden_by]


def _stale(index: Index, worktree: Path, since: int) -> Iterator[IndexEntry]:
    """Yield the files changed in the run of which the index has the times, but another content."""
    remaining = _MAX_CONTENT
    try:
        opened = open_folder(worktree)
    except OSError:
        return  # without a worktree there are no files to hide
    with opened as top:
        for entry in index.entries:
            # Git may compare whole seconds only.
            if entry.changed_at < since // 1_000_000_000 or not entry.is_merged:
                continue
            content = _content(top, entry, remaining)
            if content is None:
                yield entry
                continue
            remaining -= len(content)
            if git_index.blob_id(content, index.hash_size) != entry.object_id:
                yield entry


def _content(top: PathHandle, entry: IndexEntry, limit: int) -> bytes | None:
    """Return what git would store of a file or link; `None` where that can't be told."""
    path = PurePosixPath(os.fsdecode(entry.path))
    try:
        with open_beneath(top, path.parent) as folder:
            if stat.S_ISLNK(entry.mode):
                return os.fsencode(os.readlink(path.name, dir_fd=folder.descriptor))
            status = os.stat(path.name, dir_fd=folder.descriptor, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return None
            descriptor = os.open(path.name, _READ, dir_fd=folder.descriptor)
            with os.fdopen(descriptor, "rb") as file:
                return file.read(limit)
    except (OSError, SymbolicLinkError):
        return None


def _replace(git: PathHandle, data: bytes) -> None:
    """Put another index in the place of the one that is there, under git's own lock if it is free."""
    entries.make_writable(git)
    name = f"{INDEX}.lock"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o644, dir_fd=git.descriptor)
    except FileExistsError:
        name = f"{INDEX}.new-{os.urandom(4).hex()}"  # a run can leave a lock behind
        descriptor = os.open(name, flags, 0o644, dir_fd=git.descriptor)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.rename(name, INDEX, src_dir_fd=git.descriptor, dst_dir_fd=git.descriptor)

"""The objects that a run left in a repository, which git takes for what their names say.

The name of an object is the hash of its content, but git doesn't check that when it reads one. So a run
could put another tree in the place of the last commit's, and `git status` would show no change. The
loose objects that it wrote are hashed here. Packs are not, because that takes git's own machinery: new
ones are named. Indexes of commits, from which git takes their trees unseen, go aside.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.beneath import SymbolicLinkError, open_beneath
from moat.workspace.entries import list_names, set_aside
from moat.workspace.git_index import SHA1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.beneath import PathHandle

OBJECTS: Final = PurePosixPath("objects")
PACKS: Final = OBJECTS / "pack"
_COMMIT_GRAPHS: Final = (OBJECTS / "info/commit-graph", OBJECTS / "info/commit-graphs")

# A day's work of an agent is thousands of objects, which take a tenth of a second for each thousand. A
# hostile run can leave any number, and small ones that unpack to any size.
_MAX_OBJECTS: Final = 20_000
_MAX_BYTES: Final = 256 * 1024 * 1024
_FIRST_DIGITS: Final = 2
"""Digits of an object's name that are the name of the folder it lies in."""
_CHUNK: Final = 256 * 1024

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True)
class ObjectsReview:
    """The review of the objects in a git folder that are newer than the time `since` (ns).

    A run can't forge the time of the last change (st_ctime, inode(7)).
    """

    git: PathHandle
    since: int
    hash_size: int
    unchecked: dict[PurePosixPath, None] = field(default_factory=dict[PurePosixPath, None])
    """Folders in which there is something new that was not checked."""

    def run(self) -> Iterator[tuple[PurePosixPath, str]]:
        """Put aside what git must not believe; yield each path, and what was done.

        Raises `OSError` where something can't be renamed.
        """
        yield from self._commit_graphs()
        remaining = _MAX_BYTES
        for path in self._new_objects():
            with open_beneath(self.git, path.parent) as folder:
                digest, remaining = _digest(folder, path.name, self.hash_size, remaining)
                if digest is None:
                    self.unchecked[OBJECTS] = None
                elif digest != f"{path.parent.name}{path.name}":
                    yield (
                        path,
                        f"renamed to {set_aside(folder, path.name)} (its content is another)",
                    )

    def _commit_graphs(self) -> Iterator[tuple[PurePosixPath, str]]:
        for path in _COMMIT_GRAPHS:
            with suppress(FileNotFoundError, NotADirectoryError, SymbolicLinkError):
                with open_beneath(self.git, path) as opened:
                    names = list_names(opened) if opened.is_folder else []
                    is_new = self._is_new(os.fstat(opened.descriptor)) or any(
                        self._is_new_in(opened, name) for name in names
                    )
                if is_new:
                    with open_beneath(self.git, path.parent) as folder:
                        yield path, f"renamed to {set_aside(folder, path.name)} (git makes it anew)"

    def _new_objects(self) -> Iterator[PurePosixPath]:
        """Yield the loose objects that are new or were written, and note the packs."""
        rest = self.hash_size * 2 - _FIRST_DIGITS
        with open_beneath(self.git, OBJECTS) as objects:
            folders = list_names(objects)
        count = 0
        for name in folders:
            path = OBJECTS / name
            if path != PACKS and len(name) != _FIRST_DIGITS:
                continue
            with suppress(OSError, SymbolicLinkError), open_beneath(self.git, path) as folder:
                for each in list_names(folder) if folder.is_folder else ():
                    if not self._is_new_in(folder, each):
                        continue
                    if path == PACKS:
                        self.unchecked[PACKS] = None
                        break
                    if len(each) != rest:
                        continue  # git ignores it
                    count += 1
                    if count > _MAX_OBJECTS:
                        self.unchecked[OBJECTS] = None
                        return
                    yield path / each

    def _is_new_in(self, folder: PathHandle, name: str) -> bool:
        with suppress(FileNotFoundError):
            return self._is_new(os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False))
        return False

    def _is_new(self, status: os.stat_result) -> bool:
        return status.st_ctime_ns >= self.since


def _digest(folder: PathHandle, name: str, hash_size: int, limit: int) -> tuple[str | None, int]:
    """Return the hash of an object's content, and what is left of the limit in bytes.

    The hash is `None` where git can't read the object either, or the limit is reached.
    """
    state = hashlib.sha1(usedforsecurity=False) if hash_size == SHA1 else hashlib.sha256()
    inflating = zlib.decompressobj()
    try:
        descriptor = os.open(name, _READ, dir_fd=folder.descriptor)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None, limit
            while not inflating.eof:
                data = inflating.unconsumed_tail or file.read(_CHUNK)
                content = inflating.decompress(data, _CHUNK)
                if not data and not content:
                    return None, limit  # it is cut short
                limit -= len(content)
                if limit <= 0:
                    return None, 0
                state.update(content)
    except (OSError, zlib.error):
        return None, limit
    return state.hexdigest(), limit

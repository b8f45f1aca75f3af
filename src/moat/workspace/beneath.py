"""Paths that an untrusted run may have changed, opened without following its symbolic links."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath


def overlap(one: Path, other: Path) -> bool:
    """Return whether the paths are equal or one lies in the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


class SymbolicLinkError(Exception):
    """A part of a path is a symbolic link where none may be followed."""


_MAX_LINKS: Final = 40  # the kernel's own limit, path_resolution(7)


def resolve(path: Path, untrusted: Path) -> Path:
    """Resolve the symbolic links of an absolute path, except those that a run may have made.

    Parts of the path that don't exist are kept. Raises `SymbolicLinkError` at a link below the
    folder `untrusted`, whichever way the path gets there, and at the 41st link.
    """
    return _follow(path, lambda link: link.is_relative_to(untrusted))


def settled(path: Path) -> Path | None:
    """Resolve the symbolic links of an absolute path that leads to the same place for every process.

    Return `None` where it leads through /proc, as `/proc/self/cwd` and `/dev/fd` do, so that git would
    come somewhere else than we, or where nobody can follow it.
    """
    proc = os.stat("/proc").st_dev  # noqa: PTH116  it may be mounted at other places, too
    try:
        return _follow(path, lambda link: link.lstat().st_dev == proc)
    except (SymbolicLinkError, OSError):
        return None


def _follow(path: Path, is_refused: Callable[[Path], bool]) -> Path:
    resolved, remaining, links = Path("/"), list(reversed(path.parts[1:])), 0
    while remaining:
        part = remaining.pop()
        candidate = resolved.parent if part == ".." else resolved / part
        if not candidate.is_symlink():
            resolved = candidate
            continue
        links += 1
        if links > _MAX_LINKS or is_refused(candidate):
            raise SymbolicLinkError(str(candidate))
        target = candidate.readlink()
        if target.is_absolute():
            resolved = Path("/")
        remaining.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    return resolved


@dataclass(frozen=True, slots=True)
class PathHandle:
    """A file or folder held open by an O_PATH descriptor; a context manager."""

    descriptor: int
    path: Path

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(os.fstat(self.descriptor).st_mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def open_folder(path: Path) -> PathHandle:
    """Open a folder; raises `OSError` if the path ends in a symbolic link or isn't a folder."""
    return PathHandle(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW), path)


def open_beneath(root: PathHandle, path: PurePath) -> PathHandle:
    """Open the relative `path` below `root`, part by part.

    Raises `SymbolicLinkError` if any part is a symbolic link, the last one included, and `OSError`
    if the path doesn't exist.
    """
    descriptor = os.dup(root.descriptor)
    for part in path.parts:
        try:
            child = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        if stat.S_ISLNK(os.fstat(child).st_mode):
            os.close(child)
            raise SymbolicLinkError(part)
        descriptor = child
    return PathHandle(descriptor, root.path / path)

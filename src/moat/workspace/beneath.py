"""Paths that an untrusted run may have changed, opened without following its symbolic links."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import PurePath


def overlap(one: Path, other: Path) -> bool:
    """Whether one path is the other or lies in it."""
    return one.is_relative_to(other) or other.is_relative_to(one)


class SymbolicLinkError(Exception):
    """A part of a path is a symbolic link where none may be followed."""


_MOST_LINKS: Final = 40  # as path_resolution(7) has it


def resolve(path: Path, untrusted: Path) -> Path:
    """The absolute `path` without its symbolic links, which may lead anywhere from anywhere.

    Only those below the folder `untrusted` are not followed, for they are not the user's:
    `SymbolicLinkError`. Parts that don't exist are kept.
    """
    at, ahead, links = Path("/"), list(reversed(path.parts[1:])), 0
    while ahead:
        part = ahead.pop()
        there = at.parent if part == ".." else at / part
        if not there.is_symlink():
            at = there
            continue
        links += 1
        if there.is_relative_to(untrusted) or links > _MOST_LINKS:
            raise SymbolicLinkError(str(there))
        target = there.readlink()
        if target.is_absolute():
            at = Path("/")
        ahead.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    return at


@dataclass(frozen=True, slots=True)
class Opened:
    """A file or folder, held by an O_PATH descriptor."""

    descriptor: int
    path: Path

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(os.fstat(self.descriptor).st_mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def open_folder(path: Path) -> Opened:
    """Raises `OSError` if the path ends in a symbolic link or is no folder."""
    return Opened(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW), path)


def open_beneath(root: Opened, path: PurePath) -> Opened:
    """What lies at the relative `path` below `root`; `OSError` if nothing does.

    No symbolic link is followed, neither on the way nor at the end: `SymbolicLinkError`.
    """
    at = os.dup(root.descriptor)
    for part in path.parts:
        try:
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
        finally:
            os.close(at)
        if stat.S_ISLNK(os.fstat(below).st_mode):
            os.close(below)
            raise SymbolicLinkError(part)
        at = below
    return Opened(at, root.path / path)

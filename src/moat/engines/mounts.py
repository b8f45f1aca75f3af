"""What the sandbox sees, as it grows: bubblewrap's file system arguments and their descriptors."""

from __future__ import annotations

import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import PurePath


# The shim and the trampoline place descriptors of their own below.
_FIRST_DESCRIPTOR: Final = 32
# One message can carry 253 descriptors (SCM_MAX_FD), and not all of them are ours.
_MOST_DESCRIPTORS: Final = 200


class Mounts:
    """Arguments in the order in which bubblewrap carries them out: parents before children.

    Whoever takes `descriptors` closes them, after bubblewrap has inherited them.
    """

    def __init__(self) -> None:
        self.arguments: list[str] = []
        self.descriptors: list[int] = []

    def read_only(self, source: Path, target: PurePath | str) -> None:
        self._add("--ro-bind", source, target)

    def writable(self, source: Path, target: PurePath | str) -> None:
        self._add("--bind", source, target)

    def opened(self, opened: Opened, target: PurePath | str, *, writable: bool) -> None:
        """Bind what was opened; the caller may close it then.

        Bubblewrap compares the inode it has bound with the descriptor's and fails if a path was
        changed under its feet. Past the number of descriptors that can be passed on, the path
        itself is bound; a race is then possible, against another run in the same workspace.
        """
        if len(self.descriptors) >= _MOST_DESCRIPTORS:
            bind = self.writable if writable else self.read_only
            bind(opened.path, target)
            return
        kept = fcntl.fcntl(opened.descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
        self.descriptors.append(kept)
        self._add("--bind-fd" if writable else "--ro-bind-fd", kept, target)

    def folder(self, target: PurePath | str) -> None:
        self._add("--dir", target)

    def link(self, text: PurePath | str, target: PurePath | str) -> None:
        self._add("--symlink", text, target)

    def memory(self, target: PurePath | str, *, size: int, mode: int = 0o755) -> None:
        """An empty tmpfs of at most `size` bytes."""
        self._add("--perms", f"{mode:o}", "--size", size, "--tmpfs", target)

    def freeze(self, target: PurePath | str) -> None:
        """Make one mount read-only, not those below it."""
        self._add("--remount-ro", target)

    def processes(self, target: PurePath | str) -> None:
        self._add("--proc", target)

    def devices(self, target: PurePath | str) -> None:
        self._add("--dev", target)

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _add(self, *words: object) -> None:
        self.arguments.extend(str(word) for word in words)


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

"""The files of an agent's state, which runs have written and may be changing at this moment.

A run may put a link in the place of a folder or file between two looks at it, and nest folders deeper
than a recursion goes. So all is opened by descriptors, part by part, without following a link.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_DEEPEST: Final = 100
"""Folders in folders: what lies deeper is passed over. One descriptor is held for each."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class KeptFile:
    """Something in a state: a file, a folder, a link."""

    path: str
    """The path, relative to the state's folder."""
    folder: int
    """The folder around it, open until the walk goes on."""
    name: str
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


@dataclass(slots=True)
class _Level:
    descriptor: int
    prefix: str
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        with os.scandir(self.descriptor) as entries:
            self.names = sorted((each.name for each in entries), reverse=True)


def walk(folder: Path) -> Iterator[KeptFile]:
    """Yield all that lies in a folder. What vanishes or can't be read meanwhile is passed over."""
    levels: list[_Level] = []
    try:
        with suppress(OSError):
            levels.append(_Level(os.open(folder, _FOLDER), ""))
        while levels:
            here = levels[-1]
            if not here.names:
                os.close(levels.pop().descriptor)
                continue
            name = here.names.pop()
            with suppress(OSError):
                status = os.stat(name, dir_fd=here.descriptor, follow_symlinks=False)
                found = KeptFile(here.prefix + name, here.descriptor, name, status)
                yield found
                if found.is_folder and len(levels) < _DEEPEST:
                    below = os.open(name, _FOLDER, dir_fd=here.descriptor)
                    levels.append(_Level(below, f"{found.path}/"))
    finally:
        for each in levels:
            os.close(each.descriptor)


def export(folder: Path, target: IO[bytes], without: Collection[str]) -> None:
    """Write files and folders as a tar archive; no links, no other kinds of files, none of `without`."""
    import tarfile  # noqa: PLC0415  supervisors load this module, and never export

    with tarfile.open(fileobj=target, mode="w|") as archive:
        for each in walk(folder):
            if each.path in without:
                continue
            entry = tarfile.TarInfo(f"./{each.path}")
            entry.mtime = max(0, int(each.status.st_mtime))
            if each.is_folder:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
                continue
            try:
                descriptor = os.open(each.name, _FILE, dir_fd=each.folder)
            except OSError:  # a link, a socket, or gone
                continue
            with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode):
                    entry.size, entry.mode = status.st_size, status.st_mode & 0o755
                    archive.addfile(entry, _Whole(file))


class _Whole:
    """A file that has the size it had, whatever becomes of it meanwhile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = 0, /) -> bytes:
        return self._file.read(size).ljust(size, b"\0")

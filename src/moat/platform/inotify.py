"""Notification of changes in a folder (inotify(7))."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_IN_MODIFY, _IN_ATTRIB, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x4, 0x80, 0x100, 0x200
_IN_OPEN = 0x20
_IN_MOVED_FROM = 0x40
_CHANGES = _IN_MODIFY | _IN_ATTRIB | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
_NAMES = _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE


class FolderWatch:
    """The changes to the files of a folder, from now on. A context manager.

    `fileno` is readable while there are changes that `drain` has not taken. A change counts as soon
    as the kernel has made it: what the writer does next, such as making a commit of a database
    visible, may not have happened yet (`platform.commits`).
    """

    def __init__(self, folder: Path, *, opens: bool = False) -> None:
        """Watch the folder. With `opens`, that a file is opened counts as a change."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        try:
            self._add(folder, _CHANGES | (_IN_OPEN if opens else 0))
        except OSError:
            os.close(self._fd)
            raise

    def add(self, folder: Path) -> None:
        """Watch another folder's files, too; nothing changes for one that is watched already."""
        self._add(folder, _CHANGES)

    def add_names(self, folder: Path) -> None:
        """Watch which names another folder has, too, and not what is in its files."""
        self._add(folder, _NAMES)

    def _add(self, folder: Path, mask: int) -> None:
        if self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def drain(self) -> None:
        """Wait for a change, and take all that have been reported: many events are one change."""
        os.read(self._fd, 1 << 16)

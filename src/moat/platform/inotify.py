"""Notification of changes in a folder (inotify(7))."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x80, 0x100, 0x200


class Changes:
    """Changes in a folder from now on; a context manager.

    Its descriptor (`fileno`) is readable when there are changes. Raises `OSError` for a folder that
    can't be watched.
    """

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
        if libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            os.close(self._fd)
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def take(self) -> None:
        """Wait for the next change, and take all that are queued: many events are one change."""
        os.read(self._fd, 1 << 16)


def changes(folder: Path) -> Iterator[None]:
    """Yield once at first, and again whenever something in the folder has changed."""
    with Changes(folder) as watched:
        while True:
            yield
            watched.take()

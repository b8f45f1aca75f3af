"""The content of one open file, put into another or compared with it.

It is shared where the file system can, and copied elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FICLONE: Final = 0x40049409  # linux/fs.h
_AT_ONCE: Final = 64 * 1024 * 1024
_READ_AT_ONCE: Final = 1024 * 1024
_BLOCK: Final = 512  # st_blocks counts in these, whatever the file system's own are
_CANNOT: Final = frozenset(
    (
        *(errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM),
        errno.ETXTBSY,
    )
)
"""Errors of a file system that can't do what it is asked, while another way may work."""


class FileCopier:
    """Copies contents, and remembers what the file system can't do."""

    def __init__(self) -> None:
        self.shared = 0
        """Files that share their content with the original."""
        self._can_share = True
        self._can_copy_range = True

    def copy(self, source: int, target: int, size: int) -> None:
        """Put the first `size` bytes of `source` into `target`, which is empty. Raises `OSError`.

        Where `source` becomes shorter meanwhile, `target` ends in zeros.
        """
        if size == 0:
            return
        if self._can_share and self._share(source, target):
            self.shared += 1
            return
        os.ftruncate(target, size)
        for start, end in _parts(source, size):
            self._copy_range(source, target, start, end)

    def _share(self, source: int, target: int) -> bool:
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
            # A part of the workspace may lie on another file system, and the rest share.
            self._can_share = exc.errno == errno.EXDEV
            return False
        return True

    def _copy_range(self, source: int, target: int, start: int, end: int) -> None:
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            count = min(end - start, _AT_ONCE)
            done = self._copy_some(source, target, start, count)
            if done == 0:
                return
            start += done

    def _copy_some(self, source: int, target: int, start: int, count: int) -> int:
        if self._can_copy_range:
            try:
                return os.copy_file_range(source, target, count, start)
            except OSError as exc:
                if exc.errno not in _CANNOT:
                    raise
                self._can_copy_range = exc.errno == errno.EXDEV
        return os.sendfile(target, source, start, count)


def have_equal_content(one: int, other: int) -> bool:
    """Return whether two open files have the same content; only where there is data, it is read."""
    size = os.fstat(one).st_size
    if size != os.fstat(other).st_size:
        return False
    return all(
        _are_equal(one, other, *part) for file in (one, other) for part in _parts(file, size)
    )


def _are_equal(one: int, other: int, start: int, end: int) -> bool:
    while start < end:
        count = min(end - start, _READ_AT_ONCE)
        piece = os.pread(one, count, start)
        if not piece or piece != os.pread(other, count, start):
            return False
        start += len(piece)
    return True


def _parts(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where there is data. A run can leave files of terabytes that are nothing but a hole."""
    if os.fstat(source).st_blocks * _BLOCK >= size:
        yield 0, size
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
            end = min(size, os.lseek(source, start, os.SEEK_HOLE))
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # no data after this
                return
            raise
        if start >= size:
            return
        yield start, end

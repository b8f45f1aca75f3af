"""The contents of files, read so that a run can't mislead the reader, and kept in packs.

A pack is a file of compressed contents, one after the other. It only grows, so whoever knows an offset
may read there while others append.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, Self

from moat.workspace.manifest import NOT_KEPT, SIZE, Content, Status
from moat.workspace.walk import OPEN_FOLDER, status_of

if TYPE_CHECKING:
    from pathlib import Path

# A line-by-line difference of a larger file is of no use to a reader.
MAX_KEPT: Final = 1024 * 1024
# A larger file is known by its metadata alone: to read it takes longer than people wait.
MAX_HASHED: Final = 16 * 1024 * 1024
# Of all files together. A run can leave any number of files that are nothing but a hole (truncate).
MAX_READ: Final = 2 * 1024 * 1024 * 1024
MAX_PACK: Final = 256 * 1024 * 1024
"""The size to which a workspace's pack grows."""
MAX_CHANGES_PACK: Final = 64 * 1024 * 1024
"""The size to which the pack of one run's changes grows."""

# O_NONBLOCK: a run may have put a FIFO in the file's place.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_COMPRESSION: Final = 1


class ContentReader(Protocol):
    """A place from which contents are read."""

    def read(self, content: Content) -> bytes | None:
        """Return a content, or `None` if it isn't kept. Raises `ValueError` where it is damaged."""
        ...


class Keeper(Protocol):
    """A place in which the contents of files are kept."""

    def admits(self, size: int) -> bool:
        """Return whether a file of this size is to be read, after all that were, and count it if so."""
        ...

    def keep(self, data: bytes) -> Content:
        """Keep a content if there is room, and return where."""
        ...


class Pack:
    """A pack that is open for reading and appending, and takes no more than `limit` bytes."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._readable = MAX_READ
        self.size = file.seek(0, os.SEEK_END)

    def admits(self, size: int) -> bool:
        """Return whether a file of this size is to be read, after all that were, and count it if so."""
        if size > min(MAX_HASHED, self._readable):
            return False
        self._readable -= size
        return True

    def keep(self, data: bytes) -> Content:
        """Keep a content if there is room, and return where."""
        digest = hashlib.sha256(data).digest()
        if len(data) > MAX_KEPT:
            return digest, NOT_KEPT, 0
        return self.append(digest, zlib.compress(data, _COMPRESSION))

    def append(self, digest: bytes, compressed: bytes) -> Content:
        """Keep a content that is compressed already."""
        if self.size + len(compressed) > self._limit:
            return digest, NOT_KEPT, 0
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(compressed)
        self.size = offset + len(compressed)
        return digest, offset, len(compressed)

    def compressed(self, content: Content) -> bytes | None:
        """Return a content as it is kept."""
        _, offset, length = content
        if offset == NOT_KEPT:
            return None
        self._file.seek(offset)
        return self._file.read(length)

    def read(self, content: Content) -> bytes | None:
        """Return a content, or `None` if it isn't kept. Raises `ValueError` if the pack is damaged."""
        compressed = self.compressed(content)
        if compressed is None:
            return None
        try:
            data = zlib.decompressobj().decompress(compressed, MAX_KEPT + 1)
        except zlib.error as exc:
            raise ValueError(f"a damaged pack: {exc}") from exc
        if hashlib.sha256(data).digest() != content[0]:
            raise ValueError("a damaged pack: a content isn't what was kept")
        return data

    def flush(self) -> None:
        self._file.flush()


def open_pack(path: Path) -> BinaryIO:
    """Open the file of a pack for `Pack`, and make it if there is none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "r+b")


class FolderReader:
    """One folder of a root, opened to read files in it; a context manager."""

    def __init__(self, root: str, path: str, inode: int) -> None:
        """Open the folder. Raises `OSError`, also if it isn't the one with this inode any more."""
        self._descriptor = os.open(f"{root}/{path}", OPEN_FOLDER)
        if os.fstat(self._descriptor).st_ino != inode:
            os.close(self._descriptor)
            raise FileNotFoundError(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def keep(self, name: str, status: Status, keeper: Keeper) -> Content | None:
        """Read the file `name` into a pack, or another place.

        Return `None` if it is too large to be read after the others, can't be read, or is not (any more)
        what `status` says: then it changed meanwhile.
        """
        if not keeper.admits(status[SIZE]):
            return None
        try:
            descriptor = os.open(name, _READ, dir_fd=self._descriptor)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(status[0]) or status_of(os.fstat(descriptor)) != status:
                return None
            data = _read(descriptor, status[SIZE])
            if len(data) != status[SIZE] or status_of(os.fstat(descriptor)) != status:
                return None
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return keeper.keep(data)


def _read(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size >= 0 and (part := os.read(descriptor, size + 1)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)

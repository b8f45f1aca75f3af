"""Contents that a run's snapshots have and its start has not: a compressed file for each, by SHA-256."""

from __future__ import annotations

import hashlib
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.workspace.contents import MAX_HASHED, MAX_READ
from moat.workspace.manifest import NOT_KEPT, Content

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from moat.workspace.manifest import Manifest

BLOB: Final = -2
"""The offset of a content that is a blob."""
SEEN: Final = -3
"""The offset of a content that was only looked at; a snapshot would keep it."""
_COMPRESSION: Final = 1
_BLOCK: Final = 4096


class Blobs:
    """The blobs of one run, and those that are added to them."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        start: Manifest,
        *,
        durable: bool = False,
    ) -> None:
        """`limit`: bytes that all blobs take together on disk.

        What the manifest of the `start` has is no blob. `durable` ones have reached the disk when `keep`
        returns.
        """
        self._folder = folder
        self._limit = limit
        self._start = start
        self._durable = durable
        self._readable = MAX_READ
        self._size: int | None = None
        self.unkept = 0
        """The number of contents that had no room."""
        self.too_large = 0
        """The number of files that were too large to be read."""

    def admits(self, size: int) -> bool:
        """Return whether a file of this size is to be read, and count it."""
        if size > min(MAX_HASHED, self._readable):
            self.too_large += 1
            return False
        self._readable -= size
        return True

    @cached_property
    def _at_start(self) -> dict[bytes, Content]:
        return {
            content[0]: content
            for folder in self._start.folders.values()
            for content in folder.contents.values()
            if content[1] != NOT_KEPT
        }

    def keep(self, data: bytes) -> Content:
        """Keep a content if there is room, unless it is kept already; return where."""
        digest = hashlib.sha256(data).digest()
        if digest in self._at_start:
            return self._at_start[digest]
        path = _path(self._folder, digest)
        if path.exists():
            return digest, BLOB, 0
        compressed = zlib.compress(data, _COMPRESSION)
        if self._size is None:
            self._size = size_of(self._folder)
        if self._size + _taken(len(compressed)) > self._limit:
            self.unkept += 1
            return digest, NOT_KEPT, 0
        # Not the run's own folder, which may have been removed meanwhile.
        for each in (self._folder.parent, self._folder, path.parent):
            each.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, compressed, durable=self._durable)
        self._size += _taken(len(compressed))
        return digest, BLOB, 0


class Seen:
    """Contents that are known by their SHA-256 alone."""

    def admits(self, size: int) -> bool:
        return size <= MAX_HASHED

    def keep(self, data: bytes) -> Content:
        return hashlib.sha256(data).digest(), SEEN, 0


def read(folder: Path, digest: bytes) -> bytes:
    """Return the content of a blob. Raises `ValueError`, which names it, where it is damaged or gone."""
    try:
        data = zlib.decompressobj().decompress(_path(folder, digest).read_bytes(), MAX_HASHED + 1)
    except (OSError, zlib.error) as exc:
        raise ValueError(f"the blob {digest.hex()} can't be read: {exc}") from exc
    if hashlib.sha256(data).digest() != digest:
        raise ValueError(f"the blob {digest.hex()} is damaged")
    return data


def size_of(folder: Path) -> int:
    """Return the bytes that the blobs take together."""
    return sum(_taken(path.stat().st_size) for path in _all(folder))


def remove_all_but(folder: Path, used: Container[bytes]) -> None:
    """Remove the blobs that no snapshot uses, and what killed writers have left."""
    for path in _all(folder):
        try:
            digest = bytes.fromhex(f"{path.parent.name}{path.name}")
        except ValueError:
            digest = b""
        if digest not in used:
            path.unlink()


def _taken(size: int) -> int:
    """Return the room that a file takes: a run can make any number of tiny ones."""
    return -(-size // _BLOCK) * _BLOCK


def _all(folder: Path) -> Iterator[Path]:
    return folder.glob("??/*")


def _path(folder: Path, digest: bytes) -> Path:
    name = digest.hex()
    return folder / name[:2] / name[2:]

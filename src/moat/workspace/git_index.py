"""Git's index (gitformat-index(5)), as far as it can hide changes from `git status`. Pure.

Git trusts its index. An entry with the flag assume-unchanged or skip-worktree isn't looked at. An entry
that has the times and the size of a file stands for the file's content, whatever that is. And the
optional extensions are caches (of trees, of untracked files), which git believes unseen. A program
that writes an index of its own can hide anything by each of them.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ASSUME_UNCHANGED: Final = "assume-unchanged"
SKIP_WORKTREE: Final = "skip-worktree"

SHA1: Final = 20
SHA256: Final = 32

_HEADER: Final = struct.Struct(">4sII")
_EXTENSION: Final = struct.Struct(">4sI")
_STAT: Final = struct.Struct(">10I")
_FLAGS: Final = struct.Struct(">H")
_CTIME, _MODE = 0, 6
_TIMES: Final = 16
"""Bytes of the two times at an entry's begin."""

_ASSUME_VALID_BIT: Final = 0x8000
_EXTENDED_BIT: Final = 0x4000
_STAGE_BITS: Final = 0x3000
_NAME_LENGTH: Final = 0x0FFF
_SKIP_WORKTREE_BIT: Final = 0x4000

SPLIT: Final = b"link"
_SPARSE: Final = b"sdir"
_FOLDER_MODE: Final = 0o040000

# In version 4 a name can repeat a long one with a few bytes: a hostile index would fill the memory.
_MAX_NAMES: Final = 128 * 1024 * 1024


class BadIndexError(ValueError):
    """Not an index that git would read."""


class IndexEntry(NamedTuple):
    """One file of the index."""

    at: int
    """Offset in the index."""
    path: bytes
    mode: int
    changed_at: int
    """Seconds: the time of the file's last change (st_ctime)."""
    object_id: bytes
    flags: int
    more_flags: int

    @property
    def hidden_by(self) -> str | None:
        """The flag for which git doesn't look at the file."""
        if self.flags & _ASSUME_VALID_BIT:
            return ASSUME_UNCHANGED
        skips = self.more_flags & _SKIP_WORKTREE_BIT or self.is_sparse_folder
        return SKIP_WORKTREE if skips else None

    @property
    def stage(self) -> int:
        """The side of a conflict; zero where there is none."""
        return self.flags & _STAGE_BITS

    @property
    def is_merged(self) -> bool:
        """True unless the entry is one of several that a conflict has left."""
        return not self.stage

    @property
    def is_sparse_folder(self) -> bool:
        """True if the entry stands for all files of a folder, at which git doesn't look."""
        return self.mode == _FOLDER_MODE


@dataclass(frozen=True, slots=True)
class Index:
    data: bytes
    hash_size: int
    entries: list[IndexEntry]
    extensions: list[tuple[bytes, int, int]]
    """The signature of each, and the offsets of its begin and end."""

    @property
    def is_split(self) -> bool:
        """True if most entries lie in another file (`git update-index --split-index`)."""
        return self.extension(SPLIT) is not None

    def extension(self, name: bytes) -> bytes | None:
        """Return the content of an extension; `None` where the index doesn't have it."""
        for signature, begin, behind in self.extensions:
            if signature == name:
                return self.data[begin + _EXTENSION.size : behind]
        return None


def parse(data: bytes, hash_size: int) -> Index:
    """Read an index of version 2, 3 or 4. Raises `BadIndexError`."""
    try:
        signature, version, count = _HEADER.unpack_from(data)
        if signature != b"DIRC" or version not in {2, 3, 4}:
            raise BadIndexError("no index, or of a version that isn't known")
        entries, at = _entries(data, hash_size, version, count)
        return Index(data, hash_size, entries, _extensions(data, at, len(data) - hash_size))
    except (struct.error, IndexError) as exc:
        raise BadIndexError("it is too short") from exc


def _entries(data: bytes, hash_size: int, version: int, count: int) -> tuple[list[IndexEntry], int]:
    """Return the entries, and the offset behind them."""
    fixed = _STAT.size + hash_size
    entries: list[IndexEntry] = []
    at, path, names = _HEADER.size, b"", 0
    for _ in range(count):
        stat = _STAT.unpack_from(data, at)
        flags = data[at + fixed] << 8 | data[at + fixed + 1]
        name_at, more = at + fixed + 2, 0
        if flags & _EXTENDED_BIT:
            more = data[name_at] << 8 | data[name_at + 1]
            name_at += 2
        kept = b""
        if version == 4:
            removed, name_at = _number(data, name_at)
            kept = path[: len(path) - removed]
        # Git believes the length, so that with a wrong one it would read other entries than these.
        length = flags & _NAME_LENGTH
        end = data.find(b"\0", name_at)
        if end < name_at or (length != _NAME_LENGTH and end - name_at + len(kept) != length):
            raise BadIndexError("a name has another length than is said")
        path = kept + data[name_at:end]
        names += len(path)
        if names > _MAX_NAMES:
            raise BadIndexError("its names are too long")
        object_id = data[at + _STAT.size : at + fixed]
        entries.append(IndexEntry(at, path, stat[_MODE], stat[_CTIME], object_id, flags, more))
        # In older versions, one to eight zero bytes make the length of an entry a multiple of eight.
        at = end + 1 if version == 4 else at + ((end - at + 8) & ~7)
    return entries, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number as pack files have it ("offset encoding"); return it and the offset behind it."""
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = (value + 1) << 7 | byte & 0x7F
    return value, at + 1


def _extensions(data: bytes, at: int, end: int) -> list[tuple[bytes, int, int]]:
    extensions: list[tuple[bytes, int, int]] = []
    while at < end:
        signature, size = _EXTENSION.unpack_from(data, at)
        if not signature[:1].isupper() and signature != SPLIT and (signature != _SPARSE or size):
            raise BadIndexError(f"git knows no extension {signature!r} like that")
        behind = at + _EXTENSION.size + size
        if behind > end:
            raise BadIndexError("an extension has no end")
        extensions.append((signature, at, behind))
        at = behind
    if at != end:
        raise BadIndexError("it has no checksum")
    return extensions


def without_caches(index: Index, shown: Iterable[IndexEntry], stale: Iterable[IndexEntry]) -> bytes:
    """Return the index without optional extensions.

    The entries in `shown` have no flag that hides them. Git looks at the content of the files in
    `stale` again, for their times are gone.
    """
    end = index.extensions[0][1] if index.extensions else len(index.data) - index.hash_size
    data = bytearray(index.data[:end])
    for entry in shown:
        flags_at = entry.at + _STAT.size + index.hash_size
        data[flags_at] &= ~(_ASSUME_VALID_BIT >> 8) & 0xFF
        if entry.flags & _EXTENDED_BIT:
            data[flags_at + 2] &= ~(_SKIP_WORKTREE_BIT >> 8) & 0xFF
    for entry in stale:
        data[entry.at : entry.at + _TIMES] = bytes(_TIMES)
    for signature, begin, behind in index.extensions:
        if signature == _SPARSE:
            data += index.data[begin:behind]
    return bytes(data) + _digest(bytes(data), index.hash_size)


def render(entries: Iterable[tuple[Index, IndexEntry]], hash_size: int) -> bytes:
    """Return an index with entries of others, without extensions."""
    chosen = list(entries)
    version = 3 if any(entry.flags & _EXTENDED_BIT for _, entry in chosen) else 2
    data = bytearray(_HEADER.pack(b"DIRC", version, len(chosen)))
    for index, entry in chosen:
        begin = len(data)
        data += index.data[entry.at : entry.at + _STAT.size] + entry.object_id
        length = min(len(entry.path), _NAME_LENGTH)
        data += _FLAGS.pack((entry.flags & ~_NAME_LENGTH) | length)
        if entry.flags & _EXTENDED_BIT:
            data += _FLAGS.pack(entry.more_flags)
        data += entry.path
        data += bytes(8 - (len(data) - begin) % 8)
    return bytes(data) + _digest(bytes(data), hash_size)


def blob_id(content: bytes, hash_size: int) -> bytes:
    """Return the name of a file's content, as git stores it where no filter changes it."""
    return _digest(b"blob %d\0" % len(content) + content, hash_size)


def _digest(data: bytes, hash_size: int) -> bytes:
    if hash_size == SHA1:
        return hashlib.sha1(data, usedforsecurity=False).digest()  # git's choice
    return hashlib.sha256(data).digest()

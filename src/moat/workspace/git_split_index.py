"""A split index of git's (`core.splitIndex`) and its shared part, joined into a whole one. Pure.

The shared part, `sharedindex.HASH`, has most of the entries. The index itself says which of these are
gone and which are replaced, by two bitmaps in the extension `link`, and has the new ones. Git checks
neither file's content by its hash, so both can lie.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from moat.workspace.git_index import SPLIT, BadIndexError, render

if TYPE_CHECKING:
    from moat.workspace.git_index import Index, IndexEntry

_HEADER: Final = struct.Struct(">II")
_WORD: Final = struct.Struct(">Q")
_BITS: Final = 64
_TRAILER: Final = 4
"""Bytes of the place of the last marker, which follows a bitmap's words."""


def shared_name(index: Index) -> str | None:
    """Return the name of the file with the shared entries; `None` where all are in the index itself."""
    link = index.extension(SPLIT)
    if link is None:
        return None
    name = link[: index.hash_size]
    if len(name) < index.hash_size:
        raise BadIndexError("the name of its shared part is too short")
    return f"sharedindex.{name.hex()}" if any(name) else None


def join(index: Index, shared: Index) -> bytes:
    """Return an index with the entries of both, and without extensions. Raises `BadIndexError`."""
    bitmaps = (index.extension(SPLIT) or b"")[index.hash_size :]
    count = len(shared.entries)
    deleted, behind = _bitmap(bitmaps, 0, count) if bitmaps else ([], 0)
    replaced, _ = _bitmap(bitmaps, behind, count) if bitmaps else ([], 0)
    own = list(index.entries)
    if len(replaced) > len(own):
        raise BadIndexError("it replaces more entries than it has")
    new: dict[tuple[bytes, int], tuple[Index, IndexEntry]] = {}
    places: list[tuple[Index, IndexEntry]] = [(shared, each) for each in shared.entries]
    for place, entry in zip(replaced, own, strict=False):
        if entry.path:
            raise BadIndexError("an entry that replaces another has a name")
        places[place] = (index, entry._replace(path=shared.entries[place].path))
    gone = frozenset(deleted)
    kept = [each for place, each in enumerate(places) if place not in gone]
    for entry in own[len(replaced) :]:
        if not entry.path:
            raise BadIndexError("a new entry has no name")
        kept.append((index, entry))
    for where, entry in kept:
        if entry.is_sparse_folder:
            raise BadIndexError("it is split, and leaves folders out")
        new[entry.path, entry.stage] = (where, entry)
    return render([new[key] for key in sorted(new)], index.hash_size)


def _bitmap(data: bytes, at: int, limit: int) -> tuple[list[int], int]:
    """Read a compressed bitmap (EWAH); return the places of its bits, and the offset behind it."""
    try:
        _, count = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        end = at + count * _WORD.size
        if end + _TRAILER > len(data):
            raise BadIndexError("a bitmap has no end")
        return _places(data, at, end, limit), end + _TRAILER
    except struct.error as exc:
        raise BadIndexError("a bitmap is too short") from exc


def _places(data: bytes, at: int, end: int, limit: int) -> list[int]:
    places: list[int] = []
    place = 0
    while at < end:
        (marker,) = _WORD.unpack_from(data, at)
        at += _WORD.size
        run = (marker >> 1 & 0xFFFFFFFF) * _BITS
        if marker & 1:
            if place + run > limit + _BITS:
                raise BadIndexError("a bitmap has more than there is")
            places.extend(range(place, place + run))
        place += run
        for _ in range(marker >> 33):
            if at >= end:
                raise BadIndexError("a bitmap is too short")
            (word,) = _WORD.unpack_from(data, at)
            at += _WORD.size
            places.extend(place + bit for bit in range(_BITS) if word >> bit & 1)
            place += _BITS
    if places and places[-1] >= limit:
        raise BadIndexError("a bitmap has more than there is")
    return places

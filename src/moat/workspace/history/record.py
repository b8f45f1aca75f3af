"""The record of a snapshot, as it is saved. Pure.

A record is a line of magic, the lengths of two parts, the parts and the SHA-256 of all that. The first
part has the head, which is all that a list needs; the second one is the difference from the start.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from typing import Final

from moat import typed_json
from moat.workspace import manifest as manifests
from moat.workspace.history.delta import Delta

_MAGIC: Final = b"moat snapshot 1\n"
_LENGTHS: Final = struct.Struct("<2Q")
_BODY: Final = len(_MAGIC) + _LENGTHS.size
_DIGEST: Final = 32

ASKED: Final = "asked"
"""The reason of a snapshot that a user wanted. All others are made by Moat itself, and may expire."""
RESTORE: Final = "restore"
"""The reason of a snapshot that is made before files are restored."""
END: Final = "end"
"""The reason of the snapshot that is made once a run has ended."""


@dataclass(frozen=True, slots=True)
class Head:
    """The facts about a snapshot besides what lay in the workspace."""

    number: int
    taken_at: int
    """The time (ns) at which the scan began."""
    reason: str
    label: str = ""
    files: int = 0
    """The number of entries that aren't folders."""
    changed: int = 0
    """The number of paths that aren't what they were in the snapshot before it, or at the start."""
    unkept: int = 0
    """The number of changed files whose content had no room any more."""
    too_large: int = 0
    """The number of changed files that are too large to be kept."""
    complete: bool = True
    """False if there was more than can be looked at."""


@dataclass(frozen=True, slots=True)
class _Front:
    """The first part of a record."""

    head: Head
    gone: list[str]


@dataclass(frozen=True, slots=True)
class Record:
    """A snapshot."""

    head: Head
    difference: Delta


def dumps(record: Record) -> bytes:
    front = json.dumps(asdict(_Front(record.head, record.difference.gone))).encode()
    manifest = manifests.dumps(record.difference.changed)
    data = b"".join((_MAGIC, _LENGTHS.pack(len(front), len(manifest)), front, manifest))
    return data + hashlib.sha256(data).digest()


def loads(data: bytes) -> Record:
    """Return the record in `data`. Raises `ValueError` where it is damaged."""
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise ValueError("a damaged record of a snapshot")
    end = length_of_front(data)
    front = _front(data[:end])
    return Record(front.head, Delta(manifests.loads(data[end:-_DIGEST]), front.gone))


def head_of(beginning: bytes) -> Head:
    """Return the head of the record that begins so. Raises `ValueError`."""
    return _front(beginning[: length_of_front(beginning)]).head


def length_of_front(beginning: bytes) -> int:
    """Return how many bytes of a record lead to its head, of which a few are known.

    Raises `ValueError` for anything but a record.
    """
    if not beginning.startswith(_MAGIC) or len(beginning) < _BODY:
        raise ValueError("not the record of a snapshot")
    front, _ = _LENGTHS.unpack_from(beginning, len(_MAGIC))
    return _BODY + front


def _front(data: bytes) -> _Front:
    return typed_json.read(_Front, typed_json.parse(data[_BODY:]))

"""The rows of the traffic record as text to which an entry of the log commits. Pure.

It is a canonical JSON array with an array for each row, in the columns of the record; fractions (times
and durations in seconds) are in millionths. It can be made again from the record at any time.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from moat.audit.entry import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_AT_ONCE: Final = 256 * 1024
"""Bytes that are hashed at once. SHA-256 runs without the GIL, and to get that back costs more."""
Range = list[int]
"""The first and the last of consecutive ids."""


class Batch:
    """Rows that are hashed while they are written, and committed to together."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._text = bytearray()
        """Text that is not hashed yet."""
        self.count = 0
        self.ranges: list[Range] = []

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Add rows, of which the first column is the id. They are ordered by it."""
        if rows:
            rows.sort(key=_id)
            self._text += b"," if self.count else b"["
            self._text += text_of(rows)
            if len(self._text) > _AT_ONCE:
                self._hash()
            self.count += len(rows)
            extend(self.ranges, [row[0] for row in rows])

    def sha256(self) -> str:
        """Return the hash; nothing may be added afterwards."""
        self._text += b"]" if self.count else b"[]"
        self._hash()
        return self._digest.hexdigest()

    def _hash(self) -> None:
        self._digest.update(self._text)
        self._text.clear()


def text_of(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return rows as elements of an array, without its brackets."""
    plain = [
        [int(each * 1_000_000) if type(each) is float else each for each in row] for row in rows
    ]
    try:
        return _json(plain)
    except UnicodeEncodeError:  # the record has it escaped as well
        return _json(storable(plain))


def _json(rows: list[list[Any]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()


def extend(ranges: list[Range], ids: list[int]) -> None:
    """Add ids to ranges, in their order."""
    for each in ids:
        if ranges and ranges[-1][1] + 1 == each:
            ranges[-1][1] = each
        else:
            ranges.append([each, each])


def ids_of(ranges: Iterable[Range]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)


def _id(row: tuple[Any, ...]) -> int:
    return row[0]

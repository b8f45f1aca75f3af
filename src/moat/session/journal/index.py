"""The time index of a journal segment: when output was appended, and the terminal's sizes.

Pure. An index is a header and records of a fixed size. A torn last record, whose writer was killed, is
ignored, and so are zeros, which a crash of the machine can leave between a file's growth and its
content. Offsets count from the start of the session, over all segments.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"MOATJ1\n\0"
_HEADER = struct.Struct("<8sQQHH4x")
_RECORD = struct.Struct("<BxHHxxQQ")
HEADER_SIZE: Final = _HEADER.size
RECORD_SIZE: Final = _RECORD.size


class Stream(IntEnum):
    """An output of the program. A program with a TTY has one, `STDOUT`."""

    STDOUT = 1
    STDERR = 2


_RESIZE = 3
_STREAMS: Final = {int(stream): stream for stream in Stream}


@dataclass(frozen=True, slots=True)
class Header:
    """The state when the segment began."""

    stdout: int
    """The offset of the segment's first byte of stdout."""
    stderr: int
    size: TerminalSize


@dataclass(frozen=True, slots=True)
class Appended:
    """At `time`, a stream had output up to (not including) offset `end`."""

    time: float
    """Seconds since the epoch."""
    stream: Stream
    end: int


@dataclass(frozen=True, slots=True)
class Resized:
    """A change of size: from stdout offset `at` on, the terminal had `size`."""

    time: float
    size: TerminalSize
    at: int


Record = Appended | Resized


def encode_header(header: Header) -> bytes:
    size = header.size
    return _HEADER.pack(MAGIC, header.stdout, header.stderr, size.columns, size.rows)


def encode(record: Record) -> bytes:
    nanoseconds = int(record.time * 1e9)
    if isinstance(record, Resized):
        size = record.size
        return _RECORD.pack(_RESIZE, size.columns, size.rows, nanoseconds, record.at)
    return _RECORD.pack(record.stream, 0, 0, nanoseconds, record.end)


def decode_header(data: bytes) -> Header:
    """Decode the header at the beginning of an index. Raises `ValueError` for anything else."""
    if len(data) < HEADER_SIZE or not data.startswith(MAGIC):
        raise ValueError("not a journal index")
    _, stdout, stderr, columns, rows = _HEADER.unpack_from(data)
    return Header(stdout, stderr, TerminalSize(columns, rows))


def decode(data: bytes) -> Iterator[Record]:
    """Yield the records behind the header, oldest first."""
    whole = (len(data) - HEADER_SIZE) // RECORD_SIZE * RECORD_SIZE
    for kind, columns, rows, nanoseconds, offset in _RECORD.iter_unpack(
        memoryview(data)[HEADER_SIZE : HEADER_SIZE + max(whole, 0)]
    ):
        if kind == _RESIZE:
            yield Resized(nanoseconds / 1e9, TerminalSize(columns, rows), offset)
        elif kind in _STREAMS:
            yield Appended(nanoseconds / 1e9, _STREAMS[kind], offset)

"""The output of a session from its journal: bytes, lines, times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from moat.session.asciicast import events
from moat.session.journal_index import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.session.journal import JournalReader

NAMES = {Stream.STDOUT: "stdout", Stream.STDERR: "stderr"}


def recorded(journal: JournalReader) -> Iterator[tuple[float, bytes, Stream]]:
    """(seconds since the epoch, bytes, stream), in the order in which they were written."""

    def read(stream: Stream, start: int, end: int) -> bytes:
        pieces: list[bytes] = []
        for offset, data in journal.chunks(stream, start):
            pieces.append(data[: max(0, end - offset)])
            if offset + len(data) >= end:
                break
        return b"".join(pieces)

    ends = dict.fromkeys(Stream, 0)
    for when, what, stream in events(journal.records(), read):
        if isinstance(what, bytes):
            ends[stream] += len(what)
            yield when, what, stream
    # What the index does not know yet, or never will: its writer was killed within a moment of it.
    for stream in Stream:
        known = max(ends[stream] + journal.start(stream), journal.start(stream))
        rest = read(stream, known, journal.end(stream))
        if rest:
            yield time.time(), rest, stream


def lines(
    pieces: Iterator[tuple[float, bytes, Stream]],
) -> Iterator[tuple[float, bytes, Stream]]:
    """The same, cut behind each newline; a line has the time of its first byte."""
    begun: dict[Stream, tuple[float, bytes]] = {}
    for when, data, stream in pieces:
        first, held = begun.pop(stream, (when, b""))
        *whole, rest = (held + data).split(b"\n")
        for line in whole:
            yield first, line + b"\n", stream
            first = when
        if rest:
            begun[stream] = (first, rest)
    for stream, (first, rest) in begun.items():
        yield first, rest, stream


def timestamp(seconds: float) -> bytes:
    """RFC 3339 in UTC, with milliseconds."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z ".encode()

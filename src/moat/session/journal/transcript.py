"""Reading a journal after the fact: its output with times, both streams in their order.

The journal may be written meanwhile, and no more than a piece of it is in memory at a time. Output of
the last moment may not be in the index yet. It gets the time at which its file was last written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from moat.session.journal.events import Written
from moat.session.journal.index import Appended, Resized, Stream, decode
from moat.session.journal.reader import INDEX, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.session.journal.events import Event
    from moat.session.journal.reader import JournalReader, Segment
    from moat.spec import TerminalSize

Offsets = dict[Stream, int]

_CHUNK_BYTES: Final = 64 * 1024


def ends(reader: JournalReader) -> Offsets:
    """Return the offsets behind the newest output."""
    return {stream: reader.end(stream) for stream in Stream}


def starts(reader: JournalReader) -> Offsets:
    """Return the offsets of the oldest output that the journal still has."""
    return {stream: reader.start(stream) for stream in Stream}


def events(reader: JournalReader, start: Mapping[Stream, int], end: Offsets) -> Iterator[Event]:
    """Yield output from `start` to `end`, and changes of the terminal's size, in their order.

    The size that the journal begins with counts as no change.
    """
    sources = {stream: _Source(reader, stream, start[stream]) for stream in Stream}
    size: TerminalSize | None = None
    now = 0.0
    for record in reader.records(start):
        # The size at a segment's beginning has no time of its own, and a clock may have been set back.
        now = max(now, record.time)
        match record:
            case Resized():
                if size is not None and record.size != size:
                    yield Resized(now, record.size, record.at)
                size = record.size
            case Appended(stream=stream):
                for data in sources[stream].up_to(min(record.end, end[stream])):
                    yield Written(now, stream, data)
    for stream, source in sources.items():
        if source.at < end[stream]:
            now = max(now, _last_written(reader, stream))
            for data in source.up_to(end[stream]):
                yield Written(now, stream, data)


def since(reader: JournalReader, time: float) -> Offsets:
    """Return where the output begins that was written at `time` (s since the epoch) or later."""
    found: Offsets = {}
    before = starts(reader)
    for record in reader.records():
        if isinstance(record, Appended):
            if record.time >= time:
                found.setdefault(record.stream, before[record.stream])
            before[record.stream] = record.end
    for stream in Stream:
        if stream not in found:
            late = _last_written(reader, stream) >= time
            found[stream] = before[stream] if late else reader.end(stream)
    return found


def last_lines(reader: JournalReader, lines: int) -> Offsets:
    """Return where the last `lines` lines of both streams together begin.

    A last line without a newline counts.
    """
    counts = dict.fromkeys(Stream, 0)
    begun: set[Stream] = set()
    left = lines
    for stream, data in _backwards(reader):
        if left <= 0:
            break
        count = data.count(b"\n")
        if stream not in begun and data:
            begun.add(stream)
            count += not data.endswith(b"\n")
        counts[stream] += min(count, left)
        left -= count
    return {stream: reader.tail(stream, counts[stream]) for stream in Stream}


def _last_written(reader: JournalReader, stream: Stream) -> float:
    for segment in reversed(reader.segments()):
        path = reader.path(segment, stream)
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            continue  # the segment has nothing of this stream, or was trimmed since it was listed
    return 0.0


def _backwards(reader: JournalReader) -> Iterator[tuple[Stream, bytes]]:
    """Yield the pieces of output, the newest first, and large ones in chunks."""
    following = ends(reader)
    for segment in reversed(reader.segments()):
        files = {stream: _open(reader, segment, stream) for stream in Stream}
        try:
            for stream, start, end in reversed(_pieces(reader, segment, following)):
                if (fd := files[stream]) is None:
                    continue
                for stop in range(end, start, -_CHUNK_BYTES):
                    size = min(stop - start, _CHUNK_BYTES)
                    yield stream, os.pread(fd, size, stop - size - segment.base(stream))
        finally:
            for fd in files.values():
                if fd is not None:
                    os.close(fd)
        following = {stream: segment.base(stream) for stream in Stream}


def _pieces(reader: JournalReader, segment: Segment, end: Offsets) -> list[tuple[Stream, int, int]]:
    """Return (stream, start, end) for each record of a segment, and for output without a record."""
    at = {stream: segment.base(stream) for stream in Stream}
    pieces: list[tuple[Stream, int, int]] = []
    try:
        index = path_of(reader.folder, segment.number, INDEX).read_bytes()
    except FileNotFoundError:
        return pieces  # the segment was trimmed since it was listed
    for record in decode(index):
        if isinstance(record, Appended):
            pieces.append((record.stream, at[record.stream], record.end))
            at[record.stream] = record.end
    pieces += [(stream, at[stream], end[stream]) for stream in Stream if at[stream] < end[stream]]
    return pieces


def _open(reader: JournalReader, segment: Segment, stream: Stream) -> int | None:
    try:
        return os.open(reader.path(segment, stream), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


class _Source:
    """One stream's bytes in order, read as they are needed."""

    def __init__(self, reader: JournalReader, stream: Stream, start: int) -> None:
        self.at = start
        self._chunks = reader.chunks(stream, start)
        self._chunk = b""
        self._used = 0

    def up_to(self, end: int) -> Iterator[bytes]:
        while self.at < end:
            if self._used == len(self._chunk):
                offset, self._chunk = next(self._chunks, (end, b""))
                self._used = 0
                # Output that was trimmed meanwhile is skipped.
                self.at = max(self.at, offset)
                if not self._chunk:
                    return
            piece = self._chunk[self._used : self._used + end - self.at]
            self._used += len(piece)
            self.at += len(piece)
            if piece:
                yield piece

"""What a journal's readers after the fact want: output with its times, both streams in their order.

Reads files that a supervisor may be writing, and never more of them than a piece at a time. What was
written in the last moment may not be in the index yet; it counts as written when its file was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from moat.session.journal.events import Written
from moat.session.journal.index import Appended, Resized, Stream, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.session.journal.events import Event
    from moat.session.journal.journal import JournalReader, Segment
    from moat.spec import TerminalSize

Offsets = dict[Stream, int]

_CHUNK_BYTES: Final = 64 * 1024


def ends(reader: JournalReader) -> Offsets:
    return {stream: reader.end(stream) for stream in Stream}


def starts(reader: JournalReader) -> Offsets:
    return {stream: reader.start(stream) for stream in Stream}


def events(reader: JournalReader, start: Mapping[Stream, int], end: Offsets) -> Iterator[Event]:
    """Output from `start` to `end` and changes of the terminal's size, in their order.

    The size that the journal begins with is no change.
    """
    sources = {stream: _Source(reader, stream, start[stream]) for stream in Stream}
    size: TerminalSize | None = None
    now = 0.0
    for record in reader.records():
        # The size that opens a segment has no time of its own; and clocks are set back at times.
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
    """Where the output begins that was written at `time` (seconds since the epoch) or later."""
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
    """Where the last `lines` lines begin, of both streams together. An unfinished line is one."""
    counts = dict.fromkeys(Stream, 0)
    ended: set[Stream] = set()
    left = lines
    for stream, data in _backwards(reader):
        if left <= 0:
            break
        found = data.count(b"\n")
        if stream not in ended and data:
            ended.add(stream)
            found += not data.endswith(b"\n")
        counts[stream] += min(found, left)
        left -= found
    return {stream: reader.tail(stream, counts[stream]) for stream in Stream}


def _last_written(reader: JournalReader, stream: Stream) -> float:
    for segment in reversed(reader.segments()):
        path = reader.path(segment, stream)
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            continue  # nothing of this stream in this segment, or trimmed since we listed it
    return 0.0


def _backwards(reader: JournalReader) -> Iterator[tuple[Stream, bytes]]:
    """The pieces of output, the newest first; of a large one its chunks."""
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
    """(stream, start, end) of what each record of a segment tells, and of what none does yet."""
    at = {stream: segment.base(stream) for stream in Stream}
    pieces: list[tuple[Stream, int, int]] = []
    try:
        index = (reader.folder / f"{segment.number:08}.index").read_bytes()
    except FileNotFoundError:
        return pieces  # trimmed since we listed it
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
    """One stream's bytes in order, as far as they are asked for."""

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
                # What was trimmed since we looked is left out.
                self.at = max(self.at, offset)
                if not self._chunk:
                    return
            piece = self._chunk[self._used : self._used + end - self.at]
            self._used += len(piece)
            self.at += len(piece)
            if piece:
                yield piece

"""A session's output on disk: the raw stream, and all other views of it are readers with an offset.

A journal is a folder of numbered segments, each with `N.stdout`, `N.stderr` (sessions without a TTY)
and `N.index`. Only the supervisor writes. It moves bytes from the program's pipe into the file with
`splice`, so a SIGKILL can't lose any: at every moment a byte is in the pipe, which the shim holds too,
or in the file.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.session.journal.index import (
    HEADER_SIZE,
    RECORD_SIZE,
    Appended,
    Header,
    Record,
    Resized,
    Stream,
    decode,
    decode_header,
    encode,
    encode_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moat.spec import TerminalSize

# Whole segments are trimmed, so old output disappears in pieces of this size.
SEGMENT_BYTES: Final = 8 * 1024 * 1024
INDEX_BYTES: Final = 1024 * 1024
# Output within this time shares a record of the index: a replay needs no more than 100 a second.
GRAIN_S: Final = 0.01

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_SUFFIX = {Stream.STDOUT: "stdout", Stream.STDERR: "stderr"}


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a journal that begins at `header`'s offsets."""

    number: int
    header: Header

    def base(self, stream: Stream) -> int:
        return self.header.stdout if stream is Stream.STDOUT else self.header.stderr


class JournalReader:
    """Reads a journal that another process may be writing, and never writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def segments(self) -> list[Segment]:
        """Return the segments that there are now, oldest first."""
        segments: list[Segment] = []
        if not self.folder.is_dir():
            return segments
        for path in sorted(self.folder.glob("*.index")):
            try:
                with path.open("rb") as file:
                    segments.append(Segment(int(path.stem), decode_header(file.read(HEADER_SIZE))))
            except (FileNotFoundError, ValueError):
                continue  # it was trimmed since it was listed, or is just being made
        return segments

    def path(self, segment: Segment, stream: Stream) -> Path:
        return self.folder / f"{segment.number:08}.{_SUFFIX[stream]}"

    def start(self, stream: Stream) -> int:
        """Return the offset of the oldest byte that the journal still has."""
        segments = self.segments()
        return segments[0].base(stream) if segments else 0

    def end(self, stream: Stream) -> int:
        segments = self.segments()
        if not segments:
            return 0
        path = self.path(segments[-1], stream)
        return segments[-1].base(stream) + (path.stat().st_size if path.exists() else 0)

    def tail(self, stream: Stream, lines: int) -> int:
        """Return the offset at which the last `lines` lines begin; -1 stands for all of them."""
        if lines < 0:
            return self.start(stream)
        if not lines:
            return self.end(stream)
        last: int | None = None
        for offset, data in self._chunks_backwards(stream):
            cut = len(data)
            # A newline that is the last byte ends a line, but begins none.
            last = offset + cut - 1 if last is None else last
            while (cut := data.rfind(b"\n", 0, cut)) >= 0:
                lines -= offset + cut != last
                if not lines:
                    return offset + cut + 1
        return self.start(stream)

    def _chunks_backwards(self, stream: Stream, size: int = 1 << 16) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, bytes) from the present end back to the oldest byte."""
        for segment in reversed(self.segments()):
            try:
                with self.path(segment, stream).open("rb") as file:
                    end = file.seek(0, os.SEEK_END)
                    while end:
                        start = max(0, end - size)
                        file.seek(start)
                        yield segment.base(stream) + start, file.read(end - start)
                        end = start
            except FileNotFoundError:
                continue

    def records(self) -> Iterator[Record]:
        """Yield the records of all segments, each behind the terminal's size at its beginning."""
        for segment in self.segments():
            try:
                index = (self.folder / f"{segment.number:08}.index").read_bytes()
            except FileNotFoundError:
                continue  # it was trimmed since it was listed
            yield Resized(0.0, segment.header.size, segment.header.stdout)
            yield from decode(index)

    def chunks(
        self, stream: Stream, start: int = 0, size: int = 1 << 16
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, bytes) from `start`, or from the oldest byte, to the present end."""
        for segment in self.segments():
            path = self.path(segment, stream)
            try:
                with path.open("rb") as file:
                    offset = max(start, segment.base(stream))
                    file.seek(offset - segment.base(stream))
                    while data := file.read(size):
                        yield offset, data
                        offset += len(data)
            except FileNotFoundError:
                continue


class Journal:
    """The one writer of a journal, which also reads what it has written."""

    def __init__(self, folder: Path, size: TerminalSize, limit: int) -> None:
        """Open the journal where its last writer left it, or begin it; `limit` is in bytes."""
        self.reader = JournalReader(folder)
        self.limit = limit
        self._size = size
        self._latest: Appended | None = None
        """The last record, which is written again while more output within `GRAIN_S` comes."""
        self._files: dict[Stream, int] = {}
        self._index = -1
        self._index_end = 0
        self._unwritten = bytearray()
        """Records that the disk had no room for, to be written with the next one."""
        self._old: tuple[str, int] | None = None
        folder.mkdir(mode=0o700, exist_ok=True)
        self._segments = self.reader.segments()
        self.ends = {stream: self.reader.end(stream) for stream in Stream}
        if self._segments:
            self._open(self._segments[-1])
            for record in self.reader.records():
                if isinstance(record, Resized):
                    self._size = record.size
        else:
            self._begin(0)

    # --- writing ---

    def take(self, stream: Stream, pipe: int, at_most: int = 1 << 20) -> int:
        """Move what is in the pipe into the journal; return the number of bytes, 0 at end of file.

        Raises `BlockingIOError` when the pipe is empty, and `OSError` (`DISK_FULL`) when the disk is
        full: then the bytes are still in the pipe.
        """
        if self._segment_is_full():
            self._begin(self._segments[-1].number + 1)
        base = self._segments[-1].base(stream)
        count = os.splice(
            pipe,
            self._file(stream),
            at_most,
            offset_dst=self.ends[stream] - base,
            flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE,
        )
        if count:
            self.ends[stream] += count
            self._note(Appended(time.time(), stream, self.ends[stream]))
        return count

    def resized(self, size: TerminalSize) -> None:
        """Record the terminal's new size."""
        self._size = size
        self._add(Resized(time.time(), size, self.ends[Stream.STDOUT]))
        self._latest = None

    def trim(self, needed: dict[Stream, int]) -> bool:
        """Delete the oldest segments until the limit holds, but nothing from the offsets `needed` on.

        Return False if the limit can't be kept because the oldest segment is still needed.
        """
        while len(self._segments) > 1 and self._bytes_kept() > self.limit:
            following = self._segments[1]
            if any(offset < following.base(stream) for stream, offset in needed.items()):
                return False
            oldest = self._segments.pop(0)
            for suffix in ("index", *_SUFFIX.values()):
                path = self.reader.folder / f"{oldest.number:08}.{suffix}"
                path.unlink(missing_ok=True)
        return True

    def start(self, stream: Stream) -> int:
        return self._segments[0].base(stream)

    def read(self, stream: Stream, offset: int, size: int = 1 << 16) -> bytes:
        """Read up to `size` bytes from `offset`; nothing at the end.

        Raises `ValueError` for an offset before the oldest byte.
        """
        # A key's echo is one byte, and a buffer of `size` would be mapped and unmapped for each.
        size = max(0, min(size, self.ends[stream] - offset))
        for segment in reversed(self._segments):
            if segment.base(stream) <= offset:
                break
        else:
            raise ValueError(f"offset {offset} was trimmed")
        if segment is self._segments[-1]:
            return os.pread(self._file(stream), size, offset - segment.base(stream))
        data = os.pread(self._old_file(segment, stream), size, offset - segment.base(stream))
        if data or offset >= self.ends[stream]:
            return data
        following = self._segments[self._segments.index(segment) + 1]
        return self.read(stream, following.base(stream), size)

    # --- inside ---

    def _note(self, record: Appended) -> None:
        latest = self._latest
        if (
            latest is not None
            and latest.stream is record.stream
            and record.time - latest.time < GRAIN_S
        ):
            # The first byte's time stands for all of the grain.
            record = Appended(latest.time, latest.stream, record.end)
            if self._unwritten:
                del self._unwritten[-RECORD_SIZE:]
            else:
                self._index_end -= RECORD_SIZE
        self._add(record)
        self._latest = record

    def _add(self, record: Record) -> None:
        self._unwritten += encode(record)
        try:
            count = os.pwrite(self._index, self._unwritten, self._index_end)
        except OSError as exc:
            if exc.errno not in DISK_FULL:
                raise
            return  # the output itself is in the journal all the same
        count -= count % RECORD_SIZE
        del self._unwritten[:count]
        self._index_end += count

    def _segment_is_full(self) -> bool:
        if self._unwritten:
            return False  # those records belong into this segment
        segment = self._segments[-1]
        written = sum(self.ends[stream] - segment.base(stream) for stream in Stream)
        return written >= SEGMENT_BYTES or self._index_end >= INDEX_BYTES

    def _bytes_kept(self) -> int:
        return sum(self.ends[stream] - self._segments[0].base(stream) for stream in Stream)

    def _begin(self, number: int) -> None:
        header = Header(self.ends[Stream.STDOUT], self.ends[Stream.STDERR], self._size)
        segment = Segment(number, header)
        path = self.reader.folder / f"{number:08}.index"
        replace_file(path, encode_header(header), durable=False)
        self._segments.append(segment)
        self._open(segment)

    def _open(self, segment: Segment) -> None:
        self.close()
        path = self.reader.folder / f"{segment.number:08}.index"
        self._index = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        # A record whose writer was killed over it is overwritten.
        whole = (os.fstat(self._index).st_size - HEADER_SIZE) // RECORD_SIZE
        self._index_end = HEADER_SIZE + whole * RECORD_SIZE
        self._latest = None

    def _file(self, stream: Stream) -> int:
        if stream not in self._files:
            path = self.reader.path(self._segments[-1], stream)
            # Not O_APPEND: splice(2) refuses it.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._files[stream] = os.open(path, flags, 0o600)
        return self._files[stream]

    def _old_file(self, segment: Segment, stream: Stream) -> int:
        """Return a descriptor of an older segment; one is kept, since readers move on in order."""
        path = str(self.reader.path(segment, stream))
        if self._old is None or self._old[0] != path:
            if self._old is not None:
                os.close(self._old[1])
            self._old = (path, os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return self._old[1]

    def close(self) -> None:
        open_now = [*self._files.values(), self._index, -1 if self._old is None else self._old[1]]
        for fd in open_now:
            if fd != -1:
                os.close(fd)
        self._files.clear()
        self._index, self._old = -1, None

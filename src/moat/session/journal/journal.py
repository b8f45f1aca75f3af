"""A session's output on disk: the raw stream, and all other views of it are readers with an offset.

A journal is a folder of numbered segments, each with `N.stdout`, `N.stderr` (sessions without a TTY),
`N.index` and, behind a TTY, `N.screen` (`checkpoint`). Only the supervisor writes. It moves bytes from
the program's pipe into the file with `splice`, so a SIGKILL can't lose any: at every moment a byte is
in the pipe, which the shim holds too, or in the file.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.session.journal import checkpoint
from moat.session.journal.index import (
    HEADER_SIZE,
    RECORD_SIZE,
    Appended,
    Header,
    Record,
    Resized,
    Stream,
    encode,
    encode_header,
)
from moat.session.journal.reader import (
    CHECKPOINT,
    INDEX,
    SUFFIX,
    JournalReader,
    Segment,
    path_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.spec import TerminalSize

# Whole segments are trimmed, so old output disappears in pieces of this size. And so much is read to
# make a screen again, some 30 ms of emulation.
SEGMENT_BYTES: Final = 4 * 1024 * 1024
INDEX_BYTES: Final = 1024 * 1024
# Output within this time shares a record of the index: a replay needs no more than 100 a second.
GRAIN_S: Final = 0.01

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        self._state_of_screen: Callable[[], bytes | None] = _no_screen
        self.on_closed: Callable[[], None] = _ignore
        """Called when a segment has become final, because the next one was begun."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._segments = self.reader.segments()
        self._checkpoint_bytes = _checkpoint_bytes(folder)
        """The size of each checkpoint, by the number of its segment: the limit is theirs, too."""
        self.ends = {stream: self.reader.end(stream) for stream in Stream}
        if self._segments:
            self._open(self._segments[-1])
            for record in self.reader.records(self.ends):
                if isinstance(record, Resized):
                    self._size = record.size
        else:
            self._begin(0)

    # --- writing ---

    def keep_screens(self, state: Callable[[], bytes | None]) -> None:
        """Let each further segment begin with the screen that `state` returns then.

        It is the screen after all output so far, or `None` where it isn't known or not worth keeping.
        """
        self._state_of_screen = state

    def take(self, stream: Stream, pipe: int, at_most: int = 1 << 20) -> int:
        """Move what is in the pipe into the journal; return the number of bytes, 0 at end of file.

        Raises `BlockingIOError` when the pipe is empty, and `OSError` (`DISK_FULL`) when the disk is
        full: then the bytes are still in the pipe.
        """
        if self._segment_is_full():
            self._begin(self._segments[-1].number + 1)
            self.on_closed()
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
            # The index goes first: without it the rest is no segment to any reader.
            for suffix in (INDEX, CHECKPOINT, *SUFFIX.values()):
                path_of(self.reader.folder, oldest.number, suffix).unlink(missing_ok=True)
            self._checkpoint_bytes.pop(oldest.number, None)
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
        output = sum(self.ends[stream] - self._segments[0].base(stream) for stream in Stream)
        return output + sum(self._checkpoint_bytes.values())

    def _begin(self, number: int) -> None:
        header = Header(self.ends[Stream.STDOUT], self.ends[Stream.STDERR], self._size)
        segment = Segment(number, header)
        # The index makes it a segment, so a killed writer leaves one with its screen, or none.
        self._keep_screen(segment)
        path = path_of(self.reader.folder, number, INDEX)
        replace_file(path, encode_header(header), durable=False)
        self._segments.append(segment)
        self._open(segment)

    def _keep_screen(self, segment: Segment) -> None:
        path = path_of(self.reader.folder, segment.number, CHECKPOINT)
        path.unlink(missing_ok=True)
        state = self._state_of_screen()
        if state is None:
            return
        data = checkpoint.encode(state, segment.header.stdout)
        try:
            replace_file(path, data, durable=False)
        except OSError as exc:
            if exc.errno not in DISK_FULL:
                raise
            return  # the screen can still be made from an earlier one
        self._checkpoint_bytes[segment.number] = len(data)

    def _open(self, segment: Segment) -> None:
        self.close()
        path = path_of(self.reader.folder, segment.number, INDEX)
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


def _checkpoint_bytes(folder: Path) -> dict[int, int]:
    return {int(path.stem): path.stat().st_size for path in folder.glob(f"*.{CHECKPOINT}")}


def _ignore() -> None:
    """Do nothing: nobody wants to know of it."""


def _no_screen() -> None:
    """Return nothing: a session without a TTY has no screen."""

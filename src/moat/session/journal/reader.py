"""Reading a journal that another process may be writing.

The names of a journal's files are here, too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.session.journal import checkpoint
from moat.session.journal.index import (
    HEADER_SIZE,
    Header,
    Record,
    Resized,
    Stream,
    decode,
    decode_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SUFFIX: Final = {Stream.STDOUT: "stdout", Stream.STDERR: "stderr"}
INDEX: Final = "index"
CHECKPOINT: Final = "screen"


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

    def segments(self, start: Mapping[Stream, int] | None = None) -> list[Segment]:
        """Return the segments that there are now, oldest first; with `start` from those offsets on."""
        found: list[Segment] = []
        for segment in self._newest_first():
            found.append(segment)
            if start and all(segment.base(stream) <= at for stream, at in start.items()):
                break
        return found[::-1]

    def _newest_first(self) -> Iterator[Segment]:
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return
        suffix = f".{INDEX}"
        for name in sorted((each for each in names if each.endswith(suffix)), reverse=True):
            try:
                with (self.folder / name).open("rb") as file:
                    header = decode_header(file.read(HEADER_SIZE))
            except (FileNotFoundError, ValueError):
                continue  # it was trimmed since it was listed, or is just being made
            yield Segment(int(name.removesuffix(suffix)), header)

    def path(self, segment: Segment, stream: Stream) -> Path:
        return path_of(self.folder, segment.number, SUFFIX[stream])

    def checkpoints(self) -> Iterator[tuple[Segment, bytes]]:
        """Yield the segments whose screen was kept, newest first, and the state of that screen."""
        for segment in self._newest_first():
            state = self.checkpoint(segment)
            if state is not None:
                yield segment, state

    def checkpoint(self, segment: Segment) -> bytes | None:
        """Return the screen's state at the segment's beginning, if it was kept and is whole."""
        try:
            data = path_of(self.folder, segment.number, CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None
        return checkpoint.decode(data, segment.header.stdout)

    def start(self, stream: Stream) -> int:
        """Return the offset of the oldest byte that the journal still has."""
        segments = self.segments()
        return segments[0].base(stream) if segments else 0

    def end(self, stream: Stream) -> int:
        newest = next(self._newest_first(), None)
        if newest is None:
            return 0
        path = self.path(newest, stream)
        return newest.base(stream) + (path.stat().st_size if path.exists() else 0)

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
        for segment in self._newest_first():
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

    def records(self, start: Mapping[Stream, int] | None = None) -> Iterator[Record]:
        """Yield the records of each segment, behind the terminal's size at its beginning.

        Segments that have nothing from the offsets `start` on are left out.
        """
        for segment in self.segments(start):
            try:
                index = path_of(self.folder, segment.number, INDEX).read_bytes()
            except FileNotFoundError:
                continue  # it was trimmed since it was listed
            yield Resized(0.0, segment.header.size, segment.header.stdout)
            yield from decode(index)

    def chunks(
        self, stream: Stream, start: int = 0, size: int = 1 << 16
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, bytes) from `start`, or from the oldest byte, to the present end."""
        for segment in self.segments({stream: start}):
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


def path_of(folder: Path, number: int, suffix: str) -> Path:
    return folder / f"{number:08}.{suffix}"

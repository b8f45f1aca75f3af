"""Reading a journal after the fact: order, times, last lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.session.journal import journal, transcript
from moat.session.journal.events import Lines, Written
from moat.session.journal.index import HEADER_SIZE, RECORD_SIZE, Resized, Stream
from moat.session.journal.journal import Journal
from moat.session.journal.reader import JournalReader, Segment
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

OUT, ERR = Stream.STDOUT, Stream.STDERR


class Clock:
    """A replacement for the journal's `time.time` that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(journal, "time", clock)
    return clock


def write(
    folder: Path, clock: Clock, pieces: Iterable[tuple[Stream, bytes]], *, flush: bool = True
) -> JournalReader:
    """Write a journal with these pieces, a second between each two."""
    writer = Journal(folder, TerminalSize(80, 24), limit=1 << 30)
    read, write = os.pipe()
    for stream, data in pieces:
        clock.now += 1
        os.write(write, data)
        assert writer.take(stream, read) == len(data)
    os.close(read)
    os.close(write)
    writer.close()
    if not flush:
        # As a writer leaves it that was killed behind its last bytes.
        last = max(folder.glob("*.index"))
        os.truncate(last, max(HEADER_SIZE, last.stat().st_size - RECORD_SIZE))
    return JournalReader(folder)


def played(reader: JournalReader, start: transcript.Offsets | None = None) -> list[Written]:
    """Return the output from `start` on."""
    begin = transcript.starts(reader) if start is None else start
    found = transcript.events(reader, begin, transcript.ends(reader))
    return [event for event in found if isinstance(event, Written)]


def test_output_comes_in_the_order_in_which_it_was_written(tmp_path: Path, clock: Clock) -> None:
    """Both streams come in order, each piece with its time."""
    pieces = [(OUT, b"one"), (ERR, b"two"), (ERR, b"three"), (OUT, b"four")]
    begun = clock.now
    reader = write(tmp_path / "j", clock, pieces)
    assert [(event.stream, event.data) for event in played(reader)] == pieces
    times = [event.time - begun for event in played(reader)]
    assert times == pytest.approx([1, 2, 3, 4])


def test_what_the_index_does_not_know_yet_comes_last(tmp_path: Path, clock: Clock) -> None:
    """Output whose record the writer still holds back is there all the same."""
    pieces = [(OUT, b"one"), (ERR, b"two"), (OUT, b"three")]
    reader = write(tmp_path / "j", clock, pieces, flush=False)
    assert [(event.stream, event.data) for event in played(reader)] == pieces


def test_nothing_behind_the_given_end_is_read(tmp_path: Path, clock: Clock) -> None:
    """A reader that goes on from its last end misses no byte and repeats none."""
    reader = write(tmp_path / "j", clock, [(OUT, b"abc"), (OUT, b"defg")])
    begin, middle = transcript.starts(reader), {OUT: 5, ERR: 0}
    first = transcript.events(reader, begin, middle)
    then = transcript.events(reader, middle, transcript.ends(reader))
    parts = [
        b"".join(event.data for event in part if isinstance(event, Written))
        for part in (first, then)
    ]
    assert parts == [b"abcde", b"fg"]


class StaleReader(JournalReader):
    """A reader that has listed the segments before the oldest of them were deleted."""

    def __init__(self, reader: JournalReader) -> None:
        super().__init__(reader.folder)
        self._listed = reader.segments()

    def segments(self, start: Mapping[Stream, int] | None = None) -> list[Segment]:
        del start
        return self._listed


@pytest.mark.parametrize("deleted", [1, 2])
def test_segments_that_are_deleted_meanwhile_are_skipped(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    """Reading a run's output while the run trims it is no error."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 4)
    pieces = [(OUT, b"one\n"), (ERR, b"two\n"), (OUT, b"three\n")]
    reader = StaleReader(write(tmp_path / "j", clock, pieces))
    for number in range(deleted):
        for path in reader.folder.glob(f"{number:08}.*"):
            path.unlink()
    assert [(event.stream, event.data) for event in played(reader)] == pieces[deleted:]
    for start in (transcript.last_lines(reader, 1), transcript.since(reader, clock.now)):
        assert [event.data for event in played(reader, start)] == [b"three\n"]
    everything = played(reader, transcript.last_lines(reader, 9))
    assert [event.data for event in everything] == [data for _, data in pieces[deleted:]]


def test_only_changes_of_the_size_are_events(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each segment repeats the size, but a reader gets one event for a change, in its place."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 4)
    write(tmp_path / "j", clock, [(OUT, b"12345"), (OUT, b"67890")])
    writer = Journal(tmp_path / "j", TerminalSize(80, 24), limit=1 << 30)
    writer.resized(TerminalSize(100, 30))
    writer.close()
    reader = write(tmp_path / "j", clock, [(OUT, b"after")])
    found = list(transcript.events(reader, transcript.starts(reader), transcript.ends(reader)))
    kinds = [event.size if isinstance(event, Resized) else event.data for event in found]
    assert kinds == [b"12345", b"67890", TerminalSize(100, 30), b"after"]


def test_since_begins_with_the_first_piece_of_that_time(tmp_path: Path, clock: Clock) -> None:
    """A stream without output since then begins at its end."""
    begun = clock.now
    reader = write(tmp_path / "j", clock, [(OUT, b"1"), (ERR, b"2"), (OUT, b"3"), (OUT, b"4")])
    assert transcript.since(reader, begun + 3) == {OUT: 1, ERR: 1}
    assert transcript.since(reader, begun) == {OUT: 0, ERR: 0}
    later = (tmp_path / "j" / "00000000.stdout").stat().st_mtime + 1
    assert transcript.since(reader, later) == {OUT: 3, ERR: 1}


pieces = st.lists(
    st.tuples(st.sampled_from(Stream), st.sampled_from([b"a", b"\n", b"bc\n", b"\n\nd", b"x" * 9])),
    max_size=20,
)


@given(pieces=pieces, count=st.integers(0, 12), flush=st.booleans(), segment=st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_last_lines_are_those_that_ended_last(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[tuple[Stream, bytes]],
    count: int,
    flush: bool,
    segment: int,
) -> None:
    """Last lines are those of both streams together, however output is cut into pieces and segments."""
    folder = tmp_path_factory.mktemp("journal") / "j"
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(journal, "time", clock)
        patch.setattr(journal, "SEGMENT_BYTES", segment)
        reader = write(folder, clock, pieces, flush=flush)
    assert _streams(played(reader, transcript.last_lines(reader, count))) == _expected(
        pieces, count
    )


def _streams(events: list[Written]) -> dict[Stream, bytes]:
    return {
        stream: b"".join(event.data for event in events if event.stream is stream)
        for stream in Stream
    }


def _expected(pieces: list[tuple[Stream, bytes]], count: int) -> dict[Stream, bytes]:
    """Compute the last lines by definition: sorted by when they ended, or had their last byte."""
    ended: list[tuple[int, Stream, bytes]] = []
    held: dict[Stream, tuple[int, bytes]] = {}
    for number, (stream, data) in enumerate(pieces):
        for byte in data:
            line = held.pop(stream, (0, b""))[1] + bytes([byte])
            if byte == ord("\n"):
                ended.append((number, stream, line))
            else:
                held[stream] = (number, line)
    ended += [(number, stream, line) for stream, (number, line) in held.items()]
    ended.sort(key=lambda each: each[0])
    last = ended[len(ended) - min(count, len(ended)) :]
    return {
        stream: b"".join(line for _, which, line in last if which is stream) for stream in Stream
    }


@given(
    st.lists(
        st.tuples(st.sampled_from(Stream), st.binary(max_size=6) | st.just(b"\n")), max_size=30
    )
)
def test_lines_lose_and_mix_nothing(pieces: list[tuple[Stream, bytes]]) -> None:
    """Every line is whole, of one stream, and has the time of its first byte."""
    lines = Lines()
    given_pieces = [Written(float(time), *piece) for time, piece in enumerate(pieces)]
    found = [line for piece in given_pieces for line in lines.feed(piece)]
    rest = lines.rest()
    assert _streams(found + rest) == _streams(given_pieces)
    assert all(line.data.endswith(b"\n") and line.data.count(b"\n") == 1 for line in found)
    assert not any(b"\n" in line.data for line in rest)
    for stream in Stream:
        of_stream = [line for line in found + rest if line.stream is stream]
        offset = 0
        for line in of_stream:
            assert line.time == _time_of_byte(given_pieces, stream, offset)
            offset += len(line.data)


def _time_of_byte(pieces: list[Written], stream: Stream, offset: int) -> float:
    for piece in pieces:
        if piece.stream is stream:
            if offset < len(piece.data):
                return piece.time
            offset -= len(piece.data)
    raise AssertionError(offset)


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    """A program that writes no newline doesn't fill the reader's memory."""
    lines = Lines()
    found = [
        line for _ in range(100) for line in lines.feed(Written(0.0, OUT, b"x" * 10_000))
    ] + lines.rest()
    assert sum(len(line.data) for line in found) == 1_000_000
    assert max(len(line.data) for line in found) < 100_000

"""The journal: output on disk, whoever is killed while it is written."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.full_disk import files_of_at_most

from moat.session.journal import journal as journal_module
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
from moat.session.journal.journal import Journal
from moat.session.journal.reader import JournalReader
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = TerminalSize(80, 24)
NO_LIMIT = 1 << 40
OUT, ERR = Stream.STDOUT, Stream.STDERR


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):  # a test may have closed its end
            os.close(fd)


def append(journal: Journal, pipe: tuple[int, int], data: bytes, stream: Stream = OUT) -> None:
    os.write(pipe[1], data)
    assert journal.take(stream, pipe[0]) == len(data)


def content(folder: Path, stream: Stream = OUT, start: int = 0) -> bytes:
    return b"".join(data for _, data in JournalReader(folder).chunks(stream, start))


times = st.floats(0, 4e9)
offsets = st.integers(0, 2**60)
sizes = st.builds(TerminalSize, st.integers(1, 65535), st.integers(1, 65535))
records = st.one_of(
    st.builds(Appended, times, st.sampled_from(Stream), offsets),
    st.builds(Resized, times, sizes, offsets),
)


@given(
    header=st.builds(Header, offsets, offsets, sizes),
    written=st.lists(records, max_size=6),
    torn=st.integers(0, RECORD_SIZE - 1),
)
def test_an_index_is_read_as_written(header: Header, written: list[Record], torn: int) -> None:
    """An index reads back as it was written, and a torn last record is ignored."""
    data = encode_header(header) + b"".join(map(encode, written)) + b"\1" * torn
    assert decode_header(data) == header
    got = list(decode(data))
    assert len(got) == len(written)
    for ours, theirs in zip(written, got, strict=True):
        assert type(ours) is type(theirs)
        assert abs(ours.time - theirs.time) < 1e-3


def test_zeros_are_no_records() -> None:
    """Zeros, which a crash of the machine leaves at the end of a file, are ignored."""
    header = Header(5, 6, SIZE)
    known = Appended(1.0, ERR, 9)
    data = encode_header(header) + encode(known) + bytes(3 * RECORD_SIZE) + encode(known)
    assert list(decode(data)) == [known, known]


def test_what_is_no_index_is_said() -> None:
    """A foreign file is refused instead of being read as times."""
    with pytest.raises(ValueError, match="not a journal index"):
        decode_header(b"something else, long enough to be a header")


def test_output_is_moved_whole(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Each stream arrives by itself, byte for byte, whatever the bytes."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    everything = bytes(range(256))
    append(journal, pipe, everything)
    append(journal, pipe, b"problem", ERR)
    journal.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "j").iterdir()} == {0o600}
    assert content(tmp_path / "j") == everything
    assert content(tmp_path / "j", ERR) == b"problem"


def test_an_empty_pipe_and_its_end_are_two_things(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """An empty pipe raises, and a closed one gives 0."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    with pytest.raises(BlockingIOError):
        journal.take(OUT, pipe[0])
    os.close(pipe[1])
    assert journal.take(OUT, pipe[0]) == 0
    journal.close()


def test_an_index_that_is_none_is_no_segment(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A file that is just being made, or somebody else's, is left out."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    append(journal, pipe, b"output")
    (tmp_path / "j" / "00000007.index").write_bytes(b"")
    (tmp_path / "j" / "notes.index").write_text("shopping list")
    assert [segment.number for segment in JournalReader(tmp_path / "j").segments()] == [0]
    assert content(tmp_path / "j") == b"output"
    journal.close()


@given(pieces=st.lists(st.binary(min_size=1, max_size=60), max_size=25), start=st.integers(0, 600))
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_segments_don_t_show(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], start: int
) -> None:
    """Reading from any offset gives what was written from there on, however many segments there are."""
    folder = tmp_path_factory.mktemp("journal") / "j"
    read, write = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "SEGMENT_BYTES", 50)
        journal = Journal(folder, SIZE, NO_LIMIT)
        for piece in pieces:
            append(journal, (read, write), piece)
        whole = b"".join(pieces)
        assert journal.ends[OUT] == len(whole)
        assert content(folder, start=start) == whole[start:]
        got, offset = b"", min(start, len(whole))
        while data := journal.read(OUT, offset, 7):
            got += data
            offset += len(data)
        assert got == whole[start:]
        journal.close()
    os.close(read)
    os.close(write)


def test_a_second_writer_goes_on_where_the_first_was_killed(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """The second writer finds offsets, size and bytes, and overwrites a torn record of the index."""
    first = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    append(first, pipe, b"one ")
    first.resized(TerminalSize(100, 30))
    first.close()
    index = tmp_path / "j" / "00000000.index"
    with index.open("ab") as file:
        file.write(b"torn")
    second = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    assert second.ends[OUT] == 4
    append(second, pipe, b"two")
    second.close()
    assert content(tmp_path / "j") == b"one two"
    assert (index.stat().st_size - HEADER_SIZE) % RECORD_SIZE == 0
    at_last = list(JournalReader(tmp_path / "j").records())
    assert [r.size for r in at_last if isinstance(r, Resized)][-1] == TerminalSize(100, 30)
    assert isinstance(at_last[-1], Appended)
    assert at_last[-1].end == 7


def test_the_limit_takes_the_oldest_segments(
    tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest segments are deleted, but never one that a reader still needs."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 10)
    journal = Journal(tmp_path / "j", SIZE, limit=30)
    for number in range(8):
        append(journal, pipe, b"%010d" % number)
    assert not journal.trim({OUT: 5})
    assert journal.start(OUT) == 0
    assert journal.trim({OUT: 80})
    assert journal.start(OUT) == 50
    assert content(tmp_path / "j") == b"%010d%010d%010d" % (5, 6, 7)
    with pytest.raises(ValueError, match="trimmed"):
        journal.read(OUT, 5)
    journal.close()


@pytest.mark.parametrize(
    ("lines", "expected"), [(-1, 0), (0, 18), (1, 12), (2, 6), (3, 0), (99, 0)]
)
def test_the_tail_begins_at_a_line(
    tmp_path: Path,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    lines: int,
    expected: int,
) -> None:
    """Lines are counted from the end, over segments."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 4)
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    for line in (b"line1\n", b"line2\n", b"line3\n"):
        append(journal, pipe, line)
    journal.close()
    assert JournalReader(tmp_path / "j").tail(OUT, lines) == expected


@given(
    pieces=st.lists(st.text("ab\n", min_size=1, max_size=12), max_size=8), lines=st.integers(-1, 9)
)
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_tail_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], lines: int
) -> None:
    """The tail holds the lines that splitlines gives, an incomplete last one included."""
    folder = tmp_path_factory.mktemp("journal") / "j"
    read, write = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "SEGMENT_BYTES", 5)
        journal = Journal(folder, SIZE, NO_LIMIT)
        for piece in pieces:
            append(journal, (read, write), piece.encode())
        journal.close()
    os.close(read)
    os.close(write)
    whole = "".join(pieces).encode()
    expected = whole.splitlines(keepends=True)
    wanted = expected if lines < 0 else expected[max(0, len(expected) - lines) :]
    assert whole[JournalReader(folder).tail(OUT, lines) :] == b"".join(wanted)


def test_a_journal_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """A run that never began has no output, and reading creates no folder."""
    reader = JournalReader(tmp_path / "j")
    assert (reader.start(OUT), reader.end(OUT), reader.tail(OUT, 5)) == (0, 0, 0)
    assert list(reader.chunks(OUT)) == []
    assert list(reader.records()) == []
    assert not (tmp_path / "j").exists()


def test_a_reader_goes_on_behind_what_is_trimmed_under_it(
    tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader gets offsets with its bytes, so that it notices a gap."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 10)
    journal = Journal(tmp_path / "j", SIZE, limit=20)
    for number in range(6):
        append(journal, pipe, b"%010d" % number)
    chunks = journal.reader.chunks(OUT)
    assert next(chunks) == (0, b"%010d" % 0)
    assert journal.trim({})
    assert list(chunks) == [(40, b"%010d" % 4), (50, b"%010d" % 5)]
    journal.close()


def test_a_stream_that_is_silent_has_no_gaps(
    tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stream may be silent while the other fills more segments than Python could recurse over."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 10)
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    for number in range(1100):
        append(journal, pipe, b"%010d" % number)
        if number in {0, 1050}:
            append(journal, pipe, b"problem", ERR)
    assert journal.read(ERR, 0) == b"problem"
    assert journal.read(ERR, 7) == b"problem"
    assert journal.read(ERR, 14) == b""
    assert journal.reader.tail(ERR, 1) == 0
    journal.close()
    assert content(tmp_path / "j", ERR) == b"problemproblem"


def test_a_full_disk_loses_nothing(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """The bytes stay in the pipe until the disk has room."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    append(journal, pipe, b"before ")
    os.write(pipe[1], b"after")
    with files_of_at_most(7), pytest.raises(OSError) as caught:
        journal.take(OUT, pipe[0])
    assert caught.value.errno == errno.EFBIG
    assert journal.take(OUT, pipe[0]) == 5
    journal.close()
    assert content(tmp_path / "j") == b"before after"


def test_an_index_without_room_stops_nothing(
    tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output and sizes go on, and their times follow, complete, once the disk has room."""
    monkeypatch.setattr(journal_module, "GRAIN_S", 60)
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    for number in range(1, 100):
        journal.resized(TerminalSize(number, 24))
    within_a_record = HEADER_SIZE + 99 * RECORD_SIZE + 7
    with files_of_at_most(within_a_record):
        journal.resized(TerminalSize(100, 24))
        append(journal, pipe, b"one ")
        append(journal, pipe, b"two ")
        journal.resized(TerminalSize(101, 24))
    assert len(list(journal.reader.records())) == 1 + 99
    append(journal, pipe, b"three")
    journal.close()
    segment, *records = JournalReader(tmp_path / "j").records()
    assert isinstance(segment, Resized)
    sizes = [each.size.columns for each in records if isinstance(each, Resized)]
    assert sizes == list(range(1, 102))
    assert [each.end for each in records if isinstance(each, Appended)] == [8, 13]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems are root's to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def test_a_flood_over_a_full_disk_arrives_whole(
    small_disk: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the disk becomes full (stream, index, next segment), all goes on once it has room."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 10_000)
    monkeypatch.setattr(journal_module, "GRAIN_S", 0)
    journal = Journal(small_disk / "j", SIZE, limit=100_000)
    written, refused = b"", list[int | None]()
    for number in range(3000):
        piece = b"%099d\n" % number
        os.write(pipe[1], piece)
        written += piece
        if number % 150 == 50:
            fill(small_disk)
        journal.resized(TerminalSize(80, 24 + number))
        try:
            journal.take(OUT, pipe[0])
        except OSError as exc:
            refused.append(exc.errno)
        if number % 150 == 149:
            (small_disk / "ballast").unlink()
            assert journal.take(OUT, pipe[0]) > 0
        assert journal.trim({})
    assert len(refused) > 300
    assert set(refused) == {errno.ENOSPC}
    assert journal.ends[OUT] == len(written)
    start = journal.start(OUT)
    assert 80_000 < len(written) - start <= 100_000
    assert content(small_disk / "j", start=start) == written[start:]
    sizes = [each.size.rows for each in journal.reader.records() if isinstance(each, Resized)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 24 + 2999
    journal.close()


WRITER = """
import sys
from pathlib import Path
from moat.session.journal import journal as journal_module
from moat.session.journal.index import Stream
from moat.spec import TerminalSize
journal_module.SEGMENT_BYTES = 20_000
journal = journal_module.Journal(Path(sys.argv[1]), TerminalSize(), 1 << 40)
while True:
    try:
        if journal.take(Stream.STDOUT, 0, at_most=1000) == 0:
            break
    except BlockingIOError:
        continue
    # The pipe holds 65 of these: who isn't killed at once comes no further, and not to the flood's end.
    print(f"{journal.ends[Stream.STDOUT]:999}", flush=True)
"""


def test_killed_writers_lose_and_repeat_nothing(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Ten writers are killed in the middle of a flood, and the next goes on at the very byte."""
    flood = subprocess.Popen(["seq", "200000"], stdout=pipe[1])
    os.close(pipe[1])
    reached = 0
    for life in range(10):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "j")]
        with subprocess.Popen(command, stdin=pipe[0], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(30 + 3 * life):  # some segments long, and none to the end of one
                said = int(writer.stdout.readline())
                assert reached < said <= reached + 1000
                reached = said
            writer.kill()
        reached = JournalReader(tmp_path / "j").end(OUT)
    last = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    assert last.ends[OUT] == reached
    while True:
        try:
            if last.take(OUT, pipe[0]) == 0:
                break
        except BlockingIOError:
            select.select([pipe[0]], [], [])
    last.close()
    assert flood.wait() == 0
    assert content(tmp_path / "j") == b"".join(b"%d\n" % n for n in range(1, 200001))
    ends = [each.end for each in last.reader.records() if isinstance(each, Appended)]
    assert ends == sorted(ends)
    assert ends[-1] == last.ends[OUT]

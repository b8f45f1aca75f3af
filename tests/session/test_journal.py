"""The journal: the output on disk, whoever is killed while it is written."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.session import journal as journal_module
from moat.session.journal import Journal, JournalReader
from moat.session.journal_index import (
    HEADER_SIZE,
    RECORD_SIZE,
    Appended,
    Header,
    Resized,
    Stream,
    decode,
    decode_header,
    encode,
    encode_header,
)
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
def test_an_index_is_read_as_written(header: Header, written: list, torn: int) -> None:
    """A record that its writer was killed over is as if it had not been written."""
    data = encode_header(header) + b"".join(map(encode, written)) + b"\1" * torn
    assert decode_header(data) == header
    got = list(decode(data))
    assert len(got) == len(written)
    for ours, theirs in zip(written, got, strict=True):
        assert type(ours) is type(theirs)
        assert abs(ours.time - theirs.time) < 1e-3


def test_what_is_no_index_is_said() -> None:
    """A foreign file in the folder is not read as times."""
    with pytest.raises(ValueError, match="not a journal index"):
        decode_header(b"something else, long enough to be a header")


def test_output_is_moved_whole(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Each stream by itself, byte for byte, any byte."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    everything = bytes(range(256))
    append(journal, pipe, everything)
    append(journal, pipe, b"problem", ERR)
    journal.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "j").iterdir()} == {0o600}
    assert content(tmp_path / "j") == everything
    assert content(tmp_path / "j", ERR) == b"problem"


def test_an_empty_pipe_and_its_end_are_two_things(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Nothing now, and nothing ever again."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    with pytest.raises(BlockingIOError):
        journal.take(OUT, pipe[0])
    os.close(pipe[1])
    assert journal.take(OUT, pipe[0]) == 0
    journal.close()


@given(pieces=st.lists(st.binary(min_size=1, max_size=60), max_size=25), start=st.integers(0, 600))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_segments_don_t_show(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], start: int
) -> None:
    """However many there are, reading from any offset gives what was written from there on."""
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
    """Offsets, size and bytes; a torn record of the index is written over."""
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
    """But never what somebody still has to read."""
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
    """Counted from the end, over segments."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 4)
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    for line in (b"line1\n", b"line2\n", b"line3\n"):
        append(journal, pipe, line)
    journal.close()
    assert JournalReader(tmp_path / "j").tail(OUT, lines) == expected


def test_a_full_disk_loses_nothing(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """The bytes stay in the pipe until there is room."""
    journal = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    append(journal, pipe, b"before ")
    os.write(pipe[1], b"after")
    import resource  # noqa: PLC0415  for this test alone

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            journal.take(OUT, pipe[0])
        assert caught.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert journal.take(OUT, pipe[0]) == 5
    journal.close()
    assert content(tmp_path / "j") == b"before after"


WRITER = """
import os, sys
from pathlib import Path
from moat.session.journal import Journal
from moat.session.journal_index import Stream
from moat.spec import TerminalSize
journal = Journal(Path(sys.argv[1]), TerminalSize(), 1 << 40)
print("ready", flush=True)
while True:
    try:
        if journal.take(Stream.STDOUT, 0, at_most=1000) == 0:
            break
    except BlockingIOError:
        pass
"""


def test_killed_writers_lose_and_repeat_nothing(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Ten writers are killed in the middle of a flood; the next goes on at the very byte."""
    flood = subprocess.Popen(["seq", "200000"], stdout=pipe[1])
    os.close(pipe[1])
    for _ in range(10):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "j")]
        with subprocess.Popen(command, stdin=pipe[0], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.kill()
    last = Journal(tmp_path / "j", SIZE, NO_LIMIT)
    os.set_blocking(pipe[0], True)
    while True:
        try:
            if last.take(OUT, pipe[0]) == 0:
                break
        except BlockingIOError:
            import select  # noqa: PLC0415

            select.select([pipe[0]], [], [])
    last.close()
    assert flood.wait() == 0
    assert content(tmp_path / "j") == b"".join(b"%d\n" % n for n in range(1, 200001))

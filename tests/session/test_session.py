"""A session: program, journal, screen and viewers, in this order and without a loss."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.full_disk import files_of_at_most
from tests.session.conftest import SIZE
from tests.session.viewing import Reader, SlowSink, Window

from moat.session import viewers
from moat.session.journal import journal as journal_module
from moat.session.journal.index import Resized, Stream
from moat.session.journal.reader import JournalReader
from moat.session.session import DISK_RETRY_S, PASS_BYTES
from moat.session.viewers import TerminalViewer
from moat.spec import PixelSize, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.session.conftest import Rig

OUT, ERR = Stream.STDOUT, Stream.STDERR
FOLDERS_OF_THEIR_OWN = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small segments and queues, so that a few bytes are much."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 100)
    monkeypatch.setattr(viewers, "STREAM_QUEUE_BYTES", 40)
    monkeypatch.setattr(viewers, "CHUNK_BYTES", 30)
    monkeypatch.setattr(viewers, "BEHIND_BYTES", 200)


def window(rig: Rig, size: TerminalSize = SIZE, *, may_type: bool = True) -> Window:
    """Attach a terminal, as a client with one does."""
    assert rig.session.screen is not None
    made = Window(rig.session.screen, size, rig.loop)
    made.viewer.may_type = may_type
    rig.session.add(made.viewer)
    made.viewer.begin(scrollback=True)
    return made


# --- from the program to its viewers ---


def test_what_is_shown_is_on_disk(make: Callable[..., Rig]) -> None:
    """A supervisor that is killed can't have shown anything that its successor doesn't know."""
    rig = make(tty=True)
    screen = rig.session.screen
    assert screen is not None
    found: list[bytes] = []

    class Looking(SlowSink):
        def output(self, stream: Stream, data: bytes) -> None:
            found.append(rig.journal(OUT))
            super().output(stream, data)

    viewer = TerminalViewer(Looking(), screen, SIZE, rig.loop)
    rig.session.add(viewer)
    rig.io.write_output(b"hello")
    assert found == [b"hello"]


def test_standard_output_and_error_stay_apart(make: Callable[..., Rig]) -> None:
    """In the journal and with each viewer; one hears of progress once for each piece."""
    rig = make()
    reader = Reader(rig.session)
    rig.io.write_output(b"out ")
    rig.io.write_output(b"err", ERR)
    rig.io.write_output(b"more")
    reader.take_all()
    assert reader.sink.taken == {OUT: b"out more", ERR: b"err"}
    assert (rig.journal(OUT), rig.journal(ERR)) == (b"out more", b"err")
    assert rig.reports == ["wrote"] * 3


def test_a_stream_viewer_of_a_terminal_gets_what_was_written(make: Callable[..., Rig]) -> None:
    """Queries, too: it is a file or a pipe that nobody answers for."""
    rig = make(tty=True)
    reader = Reader(rig.session)
    rig.io.write_output(b"\x1b[31mred\x1b[6n")
    assert reader.take_all() == b"\x1b[31mred\x1b[6n"


def test_the_screen_answers_the_program(make: Callable[..., Rig]) -> None:
    """Viewers are asked nothing, so the program gets one answer, whoever watches."""
    rig = make(tty=True)
    one, other = window(rig), window(rig)
    one.take_all(), other.take_all()
    rig.io.write_output(b"ab\x1b[6ncd")
    assert rig.io.input == b"\x1b[1;3R"
    assert one.take() == other.take() == b"abcd"


def test_a_command_ends_behind_its_last_byte(make: Callable[..., Rig]) -> None:
    """What it wrote before it ended is recorded before anybody hears of its end; once."""
    rig = make()
    rig.io.write_output(b"much ")
    rig.io.pause_reading()
    for _ in range(40):
        rig.io.write_output(bytes(PASS_BYTES // 16))
    rig.session.ended(3)
    assert rig.session.exit_code == 3
    assert len(rig.journal(OUT)) == 5 + 40 * (PASS_BYTES // 16)
    assert rig.reports[-1] == "drained"
    assert rig.io.closed
    rig.session.ended(4)
    assert rig.reports.count("drained") == 1


def test_a_program_may_close_a_stream_before_it_ends(make: Callable[..., Rig]) -> None:
    """The other goes on."""
    rig = make()
    rig.io.end_output(OUT)
    rig.io.write_output(b"still here", ERR)
    assert rig.journal(ERR) == b"still here"
    rig.session.ended(0)
    assert rig.session.drained


def test_a_session_whose_program_is_gone_is_at_its_end(make: Callable[..., Rig]) -> None:
    """There is nothing to drain, and input counts as taken: nobody waits for it."""
    rig = make(connect=False)
    taken: list[int] = []
    rig.session.write(b"abc", taken.append)
    rig.session.end_input()
    rig.session.resize(TerminalSize(30, 5), PixelSize())
    rig.session.ended(None)
    assert taken == [3]
    assert rig.reports == ["drained"]


def test_input_is_taken_at_the_programs_pace(make: Callable[..., Rig]) -> None:
    """Whoever sends it hears how much, and the program reads its end behind the last byte."""
    rig = make()
    taken: list[int] = []
    rig.io.read(room=2)
    rig.session.write(b"abcdef", taken.append)
    rig.session.end_input()
    assert (taken, rig.io.input_ended) == ([2], False)
    assert rig.io.read() == b"ab"
    assert rig.io.read() == b"cdef"
    assert (taken, rig.io.input_ended) == ([2, 4], True)


@given(
    pieces=st.lists(
        st.sampled_from([b"text ", "wörld ✓".encode(), b"\x1b[31m", b"\x1b]0;title\x07", b"\r\n"])
        | st.binary(max_size=8),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 9), max_size=20),
)
@settings(suppress_health_check=FOLDERS_OF_THEIR_OWN)
def test_chunks_make_no_difference(
    make: Callable[..., Rig], pieces: list[bytes], cuts: list[int]
) -> None:
    """Whatever the sizes in which output comes: the same journal, screen and viewers."""
    whole = b"".join(pieces)
    chunks: list[bytes] = []
    rest = whole
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    chunks.append(rest)
    rigs = make(tty=True), make(tty=True)
    windows = [window(rig) for rig in rigs]
    readers = [Reader(rig.session) for rig in rigs]
    for rig, output in zip(rigs, ([whole], chunks), strict=True):
        for chunk in filter(None, output):
            rig.io.write_output(chunk)
    assert [rig.journal(OUT) for rig in rigs] == [whole] * 2
    assert [reader.take_all() for reader in readers] == [whole] * 2
    assert windows[0].take_all() == windows[1].take_all()
    assert rigs[0].io.input == rigs[1].io.input
    one, other = (rig.session.screen for rig in rigs)
    assert one is not None
    assert other is not None
    assert one.as_json() == other.as_json()


# --- viewers that are slow ---


@pytest.mark.usefixtures("small")
def test_a_slow_stream_viewer_holds_the_program_back(make: Callable[..., Rig]) -> None:
    """It gets every byte, and the journal keeps its limit: so the program waits."""
    rig = make(limit=300)
    reader = Reader(rig.session)
    data = b"".join(b"%09d\n" % number for number in range(200))
    for start in range(0, len(data), 50):
        rig.io.write_output(data[start : start + 50])
    assert not rig.io.reading
    assert rig.io.unread > 1000
    reader.take(1)  # not all of what is on its way: nothing has moved for the program
    assert not rig.io.reading
    while len(reader.sink.taken[OUT]) < len(data):
        reader.take()
        rig.io.turn()
    assert reader.sink.taken[OUT] == data
    assert rig.io.reading
    assert "disk full" not in rig.reports


@pytest.mark.usefixtures("small")
def test_a_slow_viewer_that_leaves_lets_the_program_go_on(make: Callable[..., Rig]) -> None:
    """Nobody needs the oldest output any more."""
    rig = make(limit=300)
    reader = Reader(rig.session)
    for _ in range(40):
        rig.io.write_output(bytes(50))
    assert not rig.io.reading
    rig.session.remove(reader.viewer)
    rig.io.turn()
    assert rig.io.reading
    assert rig.io.unread == 0


@pytest.mark.usefixtures("small")
def test_a_command_may_end_while_it_is_held_back(make: Callable[..., Rig]) -> None:
    """Its rest follows as the viewer moves, and its end behind that."""
    rig = make(limit=300)
    reader = Reader(rig.session)
    for _ in range(40):
        rig.io.write_output(b"x" * 50)
    rig.session.ended(0)
    assert not rig.session.drained
    while not rig.session.drained:
        reader.take()
    assert reader.take_all() == b"x" * 2000


@pytest.mark.usefixtures("small")
def test_a_terminal_program_waits_for_nobody(make: Callable[..., Rig]) -> None:
    """A stream viewer that far behind loses the oldest, and goes on with what is kept."""
    rig = make(tty=True, limit=300)
    reader = Reader(rig.session)
    for number in range(100):
        rig.io.write_output(b"%09d\n" % number)
    assert rig.io.unread == 0
    got = reader.take_all()
    assert got.endswith(b"%09d\n" % 99)
    assert b"%09d\n" % 0 in got
    assert b"%09d\n" % 50 not in got


class Readers:
    """Clients of one session that come, read and go; each method is a step of a story."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.written = dict.fromkeys(Stream, b"")
        self.always = Reader(rig.session)
        self.guest: Reader | None = None

    def write(self, count: int, stream: Stream = OUT) -> None:
        start = len(self.written[stream])
        data = bytes(number % 251 for number in range(start, start + count))
        self.written[stream] += data
        self.rig.io.write_output(data, stream)

    def write_error(self, count: int) -> None:
        self.write(count, ERR)

    def read(self, count: int | None) -> None:
        self.always.take(count)
        self.rig.io.turn()

    def come(self, _count: int) -> None:
        self.guest = self.guest or Reader(self.rig.session)

    def guest_reads(self, count: int | None) -> None:
        if self.guest is not None:
            self.guest.take(count)
            self.rig.io.turn()

    def go(self, _count: int) -> None:
        if self.guest is not None:
            self.rig.session.remove(self.guest.viewer)
            self.guest = None
            self.rig.io.turn()

    @property
    def waiting(self) -> bool:
        readers = filter(None, (self.always, self.guest))
        return self.rig.io.unread > 0 or any(reader.sink.queued for reader in readers)


@given(
    story=st.lists(
        st.tuples(
            st.sampled_from(["write", "write_error", "read", "come", "guest_reads", "go"]),
            st.integers(1, 120),
        ),
        max_size=40,
    )
)
@settings(suppress_health_check=FOLDERS_OF_THEIR_OWN)
@pytest.mark.usefixtures("small")
def test_stream_viewers_get_every_byte(
    make: Callable[..., Rig], story: list[tuple[str, int]]
) -> None:
    """Whoever comes, reads or goes, and however slowly: each byte once, in order."""
    readers = Readers(make(limit=250))
    for step, count in story:
        getattr(readers, step)(count)
    while readers.waiting:
        readers.read(None)
        readers.guest_reads(None)
    assert readers.always.sink.taken == readers.written
    if readers.guest is not None:
        assert readers.guest.viewer.caught_up
        for stream, data in readers.guest.sink.taken.items():
            assert readers.written[stream].endswith(data)


# --- a full disk ---


def test_a_full_disk_holds_the_program_back(make: Callable[..., Rig]) -> None:
    """It is reported once and tried again every second; then the program goes on where it was."""
    rig = make()
    reader = Reader(rig.session)
    data = bytes(each % 251 for each in range(3000))
    with files_of_at_most(1000):
        for start in range(0, len(data), 600):
            rig.io.write_output(data[start : start + 600])
        for _ in range(3):
            assert not rig.io.reading
            rig.loop.advance(DISK_RETRY_S)
        assert rig.journal(OUT) == data[:1000]
        assert rig.reports.count("disk full") == 1
        assert "disk has room" not in rig.reports
        assert rig.session.disk_full
    rig.loop.advance(DISK_RETRY_S * 0.9)
    assert not rig.io.reading
    rig.loop.advance(DISK_RETRY_S * 0.1)
    assert rig.io.reading
    rig.io.turn()
    assert rig.journal(OUT) == reader.take_all() == data
    assert rig.reports.count("disk full") == rig.reports.count("disk has room") == 1
    assert not rig.session.disk_full


def test_a_full_disk_for_a_terminal(make: Callable[..., Rig]) -> None:
    """Its screen and viewers show what is recorded, and the rest when there is room."""
    rig = make(tty=True)
    shown = window(rig)
    with files_of_at_most(8):
        rig.io.write_output(b"recorded and not")
        assert shown.rows[0] == "recorded"
    rig.loop.advance(DISK_RETRY_S)
    assert shown.rows[0] == "recorded and not"


def test_a_command_that_ends_on_a_full_disk(make: Callable[..., Rig]) -> None:
    """Its end waits for the rest of its output."""
    rig = make()
    with files_of_at_most(4):
        rig.io.write_output(b"complete")
        rig.session.ended(0)
        rig.loop.advance(DISK_RETRY_S)
        assert not rig.session.drained
    rig.loop.advance(DISK_RETRY_S)
    assert rig.session.drained
    assert rig.journal(OUT) == b"complete"
    assert rig.reports[-2:] == ["disk has room", "drained"]


def test_a_full_disk_is_reported_once_whichever_stream_waits(make: Callable[..., Rig]) -> None:
    """That nothing waits on one stream doesn't mean that there is room for the other."""
    rig = make()
    with files_of_at_most(4):
        rig.io.write_output(b"complete", ERR)
        for _ in range(3):
            rig.loop.advance(DISK_RETRY_S)
        assert [report for report in rig.reports if "disk" in report] == ["disk full"]
    rig.loop.advance(DISK_RETRY_S)
    assert [report for report in rig.reports if "disk" in report] == ["disk full", "disk has room"]


@pytest.mark.usefixtures("small")
def test_a_slow_viewer_on_a_full_disk(
    make: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program waits for both, and goes on when the disk has room and the viewer has moved."""
    rig = make(limit=50)
    reader = Reader(rig.session)
    rig.io.write_output(b"a" * 100)
    take = rig.session.journal.take

    def take_nothing(stream: Stream, pipe: int) -> int:
        take(stream, pipe, 0)  # a new segment is begun, and has no room
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rig.session.journal, "take", take_nothing)
    rig.io.write_output(b"b" * 100)
    monkeypatch.setattr(rig.session.journal, "take", take)
    rig.loop.advance(DISK_RETRY_S)
    assert not rig.io.reading  # for the viewer now
    while rig.io.unread:
        assert reader.sink.queued, "nobody will wake the program any more"
        reader.take()
        rig.io.turn()
    assert reader.take_all() == b"a" * 100 + b"b" * 100
    assert not rig.session.disk_full


def test_another_error_of_the_disk_is_not_hidden(
    make: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To wait would not help."""
    rig = make()

    def fail(_stream: Stream, _pipe: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(rig.session.journal, "take", fail)
    with pytest.raises(OSError, match="Input/output"):
        rig.io.write_output(b"x")


def test_a_session_that_is_closed_tries_no_more(make: Callable[..., Rig]) -> None:
    """The output stays with the program, for the next supervisor."""
    rig = make()
    with files_of_at_most(2):
        rig.io.write_output(b"abcd")
        rig.session.close()
    assert rig.loop.waiting == 0
    assert rig.io.unread == 2


# --- a new supervisor ---


def test_the_next_supervisor_shows_the_same_screen(make: Callable[..., Rig]) -> None:
    """It goes on in the middle of a sequence, and with what was written while nobody was there."""
    rig = make(tty=True)
    rig.io.write_output(b"one\r\n\x1b[?2004h\x1b]0;tit")
    rig.session.close()
    rig.io.write_output(b"le\x07two\x1b[6n")
    rig.another_supervisor()
    before = window(rig)
    assert before.rows[0] == "one"
    rig.connect()
    rig.io.write_output(b" three")
    screen = rig.session.screen
    assert screen is not None
    assert screen.text().split("\n")[:2] == ["one", "two three"]
    assert (screen.title, screen.modes["bracketed_paste"]) == ("title", True)
    assert before.shows(screen)
    assert rig.io.input == b"\x1b[2;4R"  # once


def test_the_next_supervisor_hides_the_rest_of_a_hidden_sequence(make: Callable[..., Rig]) -> None:
    """Half of it in the journal is half that viewers have not seen."""
    rig = make(tty=True)
    rig.io.write_output(b"shown\x1b]52;c;c2Vj")
    rig.another_supervisor()
    rig.connect()
    after = window(rig)
    rig.io.write_output(b"cmV0\x07!")
    data = after.take_all()
    assert b"cmV0" not in data
    assert after.rows[0] == "shown!"


def test_a_viewer_of_the_next_supervisor_goes_on_where_it_was(make: Callable[..., Rig]) -> None:
    """It brings its offsets: nothing comes twice, and nothing is missing."""
    rig = make()
    reader = Reader(rig.session)
    rig.io.write_output(b"before ")
    rig.io.write_output(b"err ", ERR)
    reader.take_all()
    offsets = {stream: len(data) for stream, data in reader.sink.taken.items()}
    rig.session.close()
    rig.io.write_output(b"between ")
    rig.another_supervisor()
    again = Reader(rig.session, offsets)
    rig.connect()
    rig.io.write_output(b"after")
    assert again.take_all() == b"between after"
    assert again.sink.taken[ERR] == b""


# --- the size of the program's terminal ---

WIDE = TerminalSize(30, 8)
NARROW = TerminalSize(12, 4)
TINY = TerminalSize(2, 1)


def sizes_recorded(rig: Rig) -> list[TerminalSize]:
    records = JournalReader(rig.folder).records()
    return [record.size for record in records if isinstance(record, Resized)]


def test_the_first_viewer_sets_the_size(make: Callable[..., Rig]) -> None:
    """The program, the screen and the journal have it from then on."""
    rig = make(tty=True)
    window(rig, WIDE)
    assert rig.io.size == WIDE
    assert rig.session.screen is not None
    assert rig.session.screen.size == WIDE
    assert sizes_recorded(rig) == [SIZE, WIDE]
    rig.another_supervisor()
    assert rig.session.screen.size == WIDE


def test_whoever_typed_last_leads(make: Callable[..., Rig]) -> None:
    """The others see a part of the program's screen, or all of it and an empty rest."""
    rig = make(tty=True)
    one = window(rig, WIDE)
    other = window(rig, NARROW)
    assert rig.io.size == WIDE
    rig.session.typed(other.viewer)
    assert rig.io.size == NARROW
    rig.io.write_output(b"\x1b[2J\x1b[Hnarrow")
    rig.loop.advance(1)
    assert rig.session.screen is not None
    assert one.shows(rig.session.screen)
    assert other.shows(rig.session.screen)
    rig.session.typed(one.viewer)
    rig.session.typed(one.viewer)
    assert sizes_recorded(rig) == [SIZE, WIDE, NARROW, WIDE]


def test_a_viewer_that_looks_on_sets_no_size(make: Callable[..., Rig]) -> None:
    """Neither when it comes, where it does not lead, nor when its window changes."""
    rig = make(tty=True)
    guest = window(rig, WIDE, may_type=False)
    assert rig.io.size is None
    guest.resize(NARROW)
    rig.session.fit(guest.viewer)
    assert rig.io.size is None
    rig.loop.advance(1)
    rig.io.write_output(b"still")
    rig.loop.advance(1)
    assert rig.session.screen is not None
    assert guest.shows(rig.session.screen)


def test_the_leaders_window_changes(make: Callable[..., Rig]) -> None:
    """The program follows, and is told of each size once."""
    rig = make(tty=True)
    leader = window(rig)
    for size in (WIDE, WIDE, NARROW):
        leader.resize(size)
        rig.session.fit(leader.viewer)
    assert rig.io.size == NARROW
    assert sizes_recorded(rig) == [SIZE, WIDE, NARROW]


def test_a_leader_that_leaves_has_a_successor(make: Callable[..., Rig]) -> None:
    """At once; the last one that leaves leaves its size to the program."""
    rig = make(tty=True)
    one = window(rig, WIDE)
    other = window(rig, NARROW)
    rig.session.remove(one.viewer)
    assert rig.io.size == NARROW
    other.resize(WIDE)
    rig.session.fit(other.viewer)
    assert rig.io.size == WIDE
    rig.session.remove(other.viewer)
    assert rig.io.size == WIDE


def test_a_size_in_pixels_reaches_the_program(make: Callable[..., Rig]) -> None:
    """Also where it is all that has changed, of which the journal need not know."""
    rig = make(tty=True)
    one = window(rig, SIZE)
    assert rig.io.pixels is None
    one.viewer.pixels = PixelSize(300, 90)
    rig.session.fit(one.viewer)
    assert (rig.io.size, rig.io.pixels) == (SIZE, (300, 90))
    assert sizes_recorded(rig) == [SIZE]


def test_no_window_makes_a_screen_of_any_size(make: Callable[..., Rig]) -> None:
    """The program's terminal is as large as a screen may be, and the window shows a part of it."""
    rig = make(tty=True)
    huge = window(rig, TerminalSize(60_000, 3))
    assert rig.io.size == TerminalSize(2000, 3)
    rig.io.write_output(b"here")
    rig.loop.advance(1)
    assert huge.take_all().count(b"here") == 1


def test_a_tiny_window_shrinks_nobody(make: Callable[..., Rig]) -> None:
    """While others watch, it may type, but the program keeps its size; alone it gets its own."""
    rig = make(tty=True)
    one = window(rig, WIDE)
    tiny = window(rig, TINY)
    rig.session.typed(tiny.viewer)
    assert rig.io.size == WIDE
    rig.session.remove(one.viewer)
    rig.session.fit(tiny.viewer)
    assert rig.io.size == TINY


STEPS = "write write switch_screens draw resize lead pause resume repaint wait".split()


class Windows:
    """Terminals on one session; each method is a step of a story."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.all = [window(rig, size) for size in (WIDE, WIDE, NARROW)]
        self.paused: set[Window] = set()

    def write(self, _window: Window, count: int) -> None:
        text = b"\x1b[%d;%dHword %d" % (count % 9, count % 31, count)
        self.rig.io.write_output(text)

    def switch_screens(self, _window: Window, count: int) -> None:
        self.rig.io.write_output(b"\x1b[?1049h" if count % 2 else b"\x1b[?1049l")

    def draw(self, window: Window, count: int) -> None:
        window.take(count)

    def resize(self, window: Window, count: int) -> None:
        window.resize(TerminalSize(10 + count % 25, 3 + count % 7))
        self.rig.session.fit(window.viewer)

    def lead(self, window: Window, _count: int) -> None:
        self.rig.session.typed(window.viewer)

    def pause(self, window: Window, _count: int) -> None:
        window.viewer.pause()
        self.paused.add(window)

    def resume(self, window: Window, _count: int) -> None:
        if window in self.paused:
            window.viewer.resume()
            self.paused.remove(window)

    def repaint(self, window: Window, _count: int) -> None:
        window.viewer.refresh()

    def wait(self, _window: Window, count: int) -> None:
        self.rig.loop.advance(count / 3000)

    def come_to_rest(self) -> None:
        for each in self.all:
            self.resume(each, 0)
            each.take_all()
        self.rig.loop.advance(1)


@given(
    story=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 2),
            st.integers(1, 300),
        ),
        max_size=30,
    )
)
@settings(suppress_health_check=FOLDERS_OF_THEIR_OWN)
@pytest.mark.usefixtures("small")
def test_every_window_shows_the_screen_in_the_end(
    make: Callable[..., Rig], story: list[tuple[str, int, int]]
) -> None:
    """However slow it was, whoever has led, and whatever sizes there were."""
    rig = make(tty=True)
    windows = Windows(rig)
    for step, number, count in story:
        getattr(windows, step)(windows.all[number], count)
    windows.come_to_rest()
    assert rig.session.screen is not None
    for each in windows.all:
        assert each.shows(rig.session.screen)
        assert each.screen.alternate is each.viewer.alternate


def test_what_a_program_says_about_itself_is_reported(make: Callable[..., Rig]) -> None:
    """A bell, a notification and its status; the question whether that is heard is answered first."""
    rig = make(tty=True)
    rig.io.write_output(b"\x1b]7501;?\x07\x1b[c\x07")
    rig.io.write_output(b"\x1b]9;look\x07\x1b]7501;state=done\x07")
    told = [each for each in rig.reports if each != "wrote"]
    assert told == ["notified ''", "reported 'state=done'", "notified '9;look'"]
    assert rig.io.input.startswith(b"\x1b]7501;?\x1b\\\x1b[?")


def test_pipes_say_nothing(make: Callable[..., Rig]) -> None:
    """Only a terminal has a bell."""
    rig = make()
    rig.io.write_output(b"\x07\x1b]7501;state=done\x07")
    assert rig.reports == ["wrote"]

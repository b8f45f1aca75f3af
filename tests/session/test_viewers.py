"""Viewers: each at its own pace, and none that shows something else than there is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.manual_loop import ManualLoop
from tests.session.viewing import SlowSink, Window

from moat.session.journal.index import Stream
from moat.session.journal.journal import Journal
from moat.session.terminal.screen import Screen
from moat.session.viewers import (
    BEHIND_BYTES,
    PICTURES_PER_SECOND,
    STREAM_QUEUE_BYTES,
    FrameSink,
    StreamViewer,
)
from moat.spec import TerminalSize
from moat.wire import frames
from moat.wire.frames import FrameReader, FrameType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUT, ERR = Stream.STDOUT, Stream.STDERR
SIZE = TerminalSize(20, 6)
SMALLER = TerminalSize(10, 4)
LARGER = TerminalSize(30, 9)
ONE_PICTURE = 1 / PICTURES_PER_SECOND

# --- streams ---


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", SIZE, 1 << 40)
    yield journal
    journal.close()


def append(journal: Journal, data: bytes, stream: Stream = OUT) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    os.write(write, data)
    os.close(write)
    while journal.take(stream, read):
        pass
    os.close(read)


def test_a_stream_viewer_begins_at_its_offsets(journal: Journal) -> None:
    """A client that comes back has the rest already."""
    append(journal, b"0123456789")
    append(journal, b"abcdef", ERR)
    sink = SlowSink()
    viewer = StreamViewer(sink, journal, {OUT: 7, ERR: 2})
    assert not viewer.caught_up
    viewer.pump()
    assert viewer.offsets == {OUT: 10, ERR: 6}
    assert not viewer.caught_up  # it is on its way
    sink.take()
    assert sink.taken == {OUT: b"789", ERR: b"cdef"}
    assert viewer.caught_up


def test_a_stream_viewer_queues_little(journal: Journal) -> None:
    """What its peer does not read stays on disk."""
    for _ in range(12):
        append(journal, bytes(60_000))
    sink = SlowSink()
    viewer = StreamViewer(sink, journal, {OUT: 0})
    viewer.pump()
    assert STREAM_QUEUE_BYTES <= sink.queued < 2 * STREAM_QUEUE_BYTES
    while sink.queued:
        sink.take()
        viewer.pump()
    assert sink.taken[OUT] == bytes(12 * 60_000)


def test_an_offset_that_is_not_kept_any_more(tmp_path: Path) -> None:
    """The viewer gets what is left, and knows from where on."""
    journal = Journal(tmp_path / "journal", SIZE, limit=1)
    append(journal, b"old")
    journal._begin(1)  # as when a segment is full
    append(journal, b"new")
    journal.trim({})
    sink = SlowSink()
    viewer = StreamViewer(sink, journal, {OUT: 0})
    assert viewer.offsets[OUT] == 3
    viewer.pump()
    sink.take()
    assert sink.taken[OUT] == b"new"
    journal.close()


class Queue:
    """A write queue whose peer takes nothing."""

    def __init__(self) -> None:
        self.data = b""

    @property
    def queued(self) -> int:
        return len(self.data)

    def write(self, data: bytes | memoryview) -> None:
        self.data += data


def test_output_is_cut_into_frames() -> None:
    """Each stream has a type of its own, and no payload is larger than a peer accepts."""
    queue = Queue()
    sink = FrameSink(queue)
    large = bytes(frames.MAX_PAYLOAD + 1)
    sink.output(OUT, large)
    sink.output(ERR, b"e")
    assert sink.queued == len(queue.data)
    got = list(FrameReader().feed(queue.data))
    assert [kind for kind, _ in got] == [FrameType.STDOUT, FrameType.STDOUT, FrameType.STDERR]
    assert b"".join(payload for _, payload in got) == large + b"e"


# --- terminals ---


@pytest.fixture
def loop() -> ManualLoop:
    return ManualLoop()


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen(SIZE, 100)
    yield screen
    screen.close()


def write(screen: Screen, *windows: Window, data: bytes) -> None:
    """Let the program write, as a session does."""
    screen.feed(data)
    for window in windows:
        window.viewer.show(data)


def attach(screen: Screen, loop: ManualLoop, size: TerminalSize = SIZE) -> Window:
    window = Window(screen, size, loop)
    window.viewer.begin(scrollback=True)
    window.take_all()
    return window


def test_a_viewer_of_the_same_size_gets_the_output_itself(screen: Screen, loop: ManualLoop) -> None:
    """At once, byte for byte."""
    screen.feed(b"before")
    window = attach(screen, loop)
    assert window.rows[0] == "before"
    write(screen, window, data=b"\x1b[1mnow")
    assert window.take() == b"\x1b[1mnow"
    assert window.shows(screen)
    assert loop.waiting == 0


def test_a_viewer_that_is_behind_skips_to_the_present(screen: Screen, loop: ManualLoop) -> None:
    """What it has missed is not queued for it; it sees the screen as it is when it has drawn."""
    window = attach(screen, loop)
    line = b"x" * 1000 + b"\r\n"
    for _ in range(2 * BEHIND_BYTES // len(line)):
        write(screen, window, data=line)
    assert window.sink.queued <= BEHIND_BYTES
    write(screen, window, data=b"\x1b[Hpresent")
    window.take(1000)
    write(screen, window, data=b"!")
    assert window.rows[0] == "present!" + "x" * 12
    assert window.shows(screen)
    write(screen, window, data=b"?")
    assert window.take() == b"?"


@pytest.mark.parametrize("size", [SMALLER, LARGER])
def test_a_viewer_of_another_size_gets_pictures(
    screen: Screen, loop: ManualLoop, size: TerminalSize
) -> None:
    """A few a second, of what has changed only; the alternate screen is what they are drawn on."""
    screen.feed(b"first row\r\n\x1b[31mred one\x1b[m")
    window = attach(screen, loop, size)
    assert window.shows(screen)
    assert window.screen.alternate
    assert window.viewer.alternate
    for _ in range(3):
        write(screen, window, data=b"\r\nmore")
        assert window.sink.queued == 0
    loop.advance(ONE_PICTURE)
    picture = window.take()
    assert b"first" not in picture
    assert picture.count(b"more") == 3
    assert window.shows(screen)
    assert window.viewer.last_row == size.rows - 1
    loop.advance(1)
    assert window.sink.queued == 0


@pytest.mark.parametrize(
    ("output", "visible", "at"),
    [
        (b"\x1b[2;3H", True, (2, 1)),
        (b"\x1b[2;3H\x1b[?25l", False, (2, 1)),  # as the program wants it
        (b"\x1b[2;16H", True, (6, 1)),  # the picture follows it
        (b"\x1b[6;20H", True, (9, 3)),
    ],
)
def test_a_cursor_in_a_picture(
    screen: Screen, loop: ManualLoop, output: bytes, visible: bool, at: tuple[int, int]
) -> None:
    """It is where the program's is, with its surroundings."""
    screen.feed(output)
    window = attach(screen, loop, SMALLER)
    assert window.screen.cursor_visible is visible
    assert window.screen.cursor == at


def test_a_picture_for_a_viewer_that_has_not_drawn_the_last(
    screen: Screen, loop: ManualLoop
) -> None:
    """It is behind, and skips pictures as it would skip output."""
    window = attach(screen, loop, LARGER)
    window.sink.output(OUT, bytes(BEHIND_BYTES + 1))
    write(screen, window, data=b"one")
    loop.advance(1)
    assert window.sink.queued == BEHIND_BYTES + 1
    write(screen, window, data=b" two")
    assert loop.waiting == 0
    assert window.shows(screen)


def test_a_program_that_takes_the_viewers_size(screen: Screen, loop: ManualLoop) -> None:
    """From then on its own output fits, on the screen that the program is on."""
    window = attach(screen, loop, LARGER)
    screen.resize(LARGER)
    window.viewer.refit()
    window.viewer.refit()
    loop.advance(ONE_PICTURE)
    window.take_all()
    assert not window.screen.alternate
    write(screen, window, data=b"mirrored")
    assert window.take() == b"mirrored"
    assert window.shows(screen)
    assert window.viewer.last_row == 0


def test_nothing_stays_of_a_screen_that_was_larger(screen: Screen, loop: ManualLoop) -> None:
    """The rows of a viewer that the program's screen does not reach any more are empty."""
    screen.feed(b"\x1b[6;1Hlast row")
    window = attach(screen, loop, LARGER)
    assert window.rows[5] == "last row"
    screen.feed(b"\x1b[H\x1b[J")
    screen.resize(SMALLER)
    window.viewer.refit()
    loop.advance(ONE_PICTURE)
    assert window.rows == [""] * LARGER.rows


def test_a_window_that_shrinks_and_grows_again(screen: Screen, loop: ManualLoop) -> None:
    """A terminal forgets what is cut off, however short the moment; all of it is painted again."""
    screen.feed(b"twenty columns wide!")
    window = attach(screen, loop, LARGER)
    for size in (SMALLER, LARGER):
        window.resize(size)
        window.viewer.refit()
    assert window.rows[0] == "twenty col"
    loop.advance(ONE_PICTURE)
    assert window.shows(screen)


def test_a_notice_before_a_new_size_was_painted(screen: Screen, loop: ManualLoop) -> None:
    """A viewer that was painted on its alternate screen is brought back from there in any case."""
    window = attach(screen, loop, LARGER)
    screen.resize(LARGER)
    window.viewer.refit()
    window.viewer.refresh()
    window.take_all()
    assert not window.screen.alternate
    assert not window.viewer.alternate


@pytest.mark.parametrize("size", [SIZE, SMALLER])
def test_a_paused_viewer_gets_nothing(screen: Screen, loop: ManualLoop, size: TerminalSize) -> None:
    """Its terminal is another's meanwhile; then it sees the present, whatever is there."""
    window = attach(screen, loop, size)
    write(screen, window, data=b"one")
    window.take_all()
    window.viewer.pause()
    write(screen, window, data=b" two")
    window.viewer.refresh()
    window.viewer.refit()
    loop.advance(1)
    assert window.sink.queued == 0
    window.screen.feed(b"\x1b[?1049l\x1b[Hthe shell's")
    window.viewer.resume()
    assert window.shows(screen)
    write(screen, window, data=b"\r\n3")
    loop.advance(1)
    assert window.shows(screen)


def test_a_viewer_may_be_paused_while_it_is_behind(screen: Screen, loop: ManualLoop) -> None:
    """That its terminal has drawn what was on its way is no reason to paint."""
    window = attach(screen, loop)
    write(screen, window, data=b"x" * (BEHIND_BYTES + 1))
    window.sink.output(OUT, b"on its way")
    window.viewer.pause()
    window.take_all()
    window.viewer.drained()
    assert window.sink.queued == 0
    window.viewer.resume()
    assert window.shows(screen)


def test_a_closed_viewer_is_silent(screen: Screen, loop: ManualLoop) -> None:
    """No timer is left behind."""
    window = attach(screen, loop, LARGER)
    write(screen, window, data=b"x")
    window.viewer.close()
    assert loop.waiting == 0
    write(screen, window, data=b"y")
    assert window.sink.queued == 0


@given(
    rows=st.lists(st.text("ab \u4e2d", max_size=12), min_size=1, max_size=8),
    columns=st.integers(1, 30),
    count=st.integers(1, 9),
)
def test_a_picture_is_a_part_of_the_screen(rows: list[str], columns: int, count: int) -> None:
    """Whatever the two sizes; the cursor's row is in it, and half a wide character is none."""
    loop, screen = ManualLoop(), Screen(SIZE, 0)
    window = attach(screen, loop, TerminalSize(columns, count))
    for row in rows:
        write(screen, window, data=row.encode() + b"\r\n")
    loop.advance(ONE_PICTURE)
    window.take_all()
    assert window.viewer.mirrors == (window.screen.size == SIZE)
    seen = window.rows
    y = window.screen.cursor[1]
    assert window.screen.cursor[0] == screen.cursor[0]
    top = screen.cursor[1] - y
    for number, row in enumerate(screen.text().split("\n")[top:][:count]):
        # A wide character takes two columns; the first that is not there whole ends the row.
        fits = row
        while sum(2 if each == "\u4e2d" else 1 for each in fits) > columns:
            fits = fits[:-1]
        assert seen[number] == fits.rstrip()
    screen.close()
    window.screen.close()

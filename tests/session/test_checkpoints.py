"""Screens kept in the journal: whoever goes on from one has the screen that was there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.full_disk import files_of_at_most
from tests.session.conftest import SCROLLBACK, SIZE, Rig
from tests.session.screens import look, pieces

from moat.session.checkpoints import Checkpoints
from moat.session.journal import journal as journal_module
from moat.session.journal.checkpoint import decode, encode
from moat.session.journal.index import Stream
from moat.session.journal.reader import JournalReader
from moat.session.rebuild import opening, rebuild_screen
from moat.session.terminal.screen import Screen
from moat.spec import PixelSize, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = Stream.STDOUT
LINES = [b"\x1b[3%dmline %d\r\n" % (n % 8, n) for n in range(60)]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes fill a segment."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 40)
    monkeypatch.setattr("moat.session.checkpoints._OUTPUT_FOR_A_BYTE", 0)


def rebuilt(folder: Path) -> Screen:
    return rebuild_screen(folder, SCROLLBACK, SIZE)


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.screen"))


def without_checkpoints(folder: Path) -> Screen:
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.screen"))
    return rebuilt(copy)


def assert_alike(one: Screen, other: Screen) -> None:
    """Compare two screens, and what they make of more output."""
    assert one.incomplete_output() == other.incomplete_output()
    for more in (b"", b"\x18x\r\ny", b"\x1b8.\x0eq\x0fq\x1b[<u\x1b[?1049l\x1b[2b"):
        one.feed(more)
        other.feed(more)
        ours, theirs = look(one), look(other)
        assert {k: (ours[k], theirs[k]) for k in ours if ours[k] != theirs[k]} == {}


sizes = st.builds(TerminalSize, st.integers(1, 30), st.integers(1, 9))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(pieces(1049), pieces(47), sizes), max_size=40), st.data())
def test_a_screen_from_a_checkpoint_is_the_one_from_the_start(
    history: list[bytes | TerminalSize], data: st.DataObject
) -> None:
    """Whatever was written, wherever it was cut in pieces, and whatever sizes came between."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder, "main"), tty=True)
        rig.connect()
        for each in history:
            if isinstance(each, TerminalSize):
                rig.session.resize(each, PixelSize())
                continue
            cut = data.draw(st.integers(0, len(each)))
            for piece in (each[:cut], each[cut:]):
                if piece:
                    rig.io.write_output(piece)
        lived = rig.session.screen
        assert lived is not None
        resumed = rebuilt(rig.folder)
        assert_alike(resumed, without_checkpoints(rig.folder))
        assert resumed.size == lived.size
        assert_alike(lived, rebuilt(rig.folder))
        rig.session.close()


@pytest.mark.parametrize(
    "recorded",
    ["vim.bytes", "less.bytes", "htop.bytes"],
)
def test_a_screen_of_a_real_program_is_resumed(
    make: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, recorded: str
) -> None:
    """The recorded output of vim, less and htop, in pieces that end anywhere."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 700)
    output = (Path(__file__).parent / "recorded" / recorded).read_bytes()
    rig = make(tty=True)
    rig.session.resize(TerminalSize(80, 24), PixelSize())
    for start in range(0, len(output), 97):
        rig.io.write_output(output[start : start + 97])
    assert checkpoints(rig.folder)
    assert_alike(rebuilt(rig.folder), without_checkpoints(rig.folder))


def test_only_output_after_the_newest_checkpoint_is_read(make: Callable[..., Rig]) -> None:
    """However long the journal is: the segments before it need not even be there."""
    rig = make(tty=True)
    for line in LINES:
        rig.io.write_output(line)
    whole = rebuilt(rig.folder)
    for path in sorted(rig.folder.glob("*.stdout"))[:-1]:
        path.unlink()
    assert_alike(rebuilt(rig.folder), whole)


def test_a_trimmed_journal_has_the_right_screen(make: Callable[..., Rig]) -> None:
    """Modes and text that were set in output which is gone are there, at the end and at the start."""
    rig = make(tty=True, limit=400_000)
    rig.io.write_output(b"\x1b[?2004h\x1b]2;title\x07first\r\n")
    monitor = rig.session.screen
    assert monitor is not None
    while rig.session.journal.start(OUT) == 0:
        for line in LINES:
            rig.io.write_output(line)
    start = Screen(SIZE, SCROLLBACK)
    start.feed(opening(JournalReader(rig.folder), SCROLLBACK))
    assert (start.title, start.modes["bracketed_paste"]) == ("title", True)
    resumed = rebuilt(rig.folder)
    assert (resumed.title, resumed.modes["bracketed_paste"]) == ("title", True)
    assert_alike(resumed, monitor)


def test_checkpoints_count_for_the_limit(make: Callable[..., Rig]) -> None:
    """The folder stays within the limit, also for a supervisor that finds checkpoints there."""
    rig = make(tty=True, limit=100_000)
    for _ in range(2):
        for _ in range(20):
            for line in LINES:
                rig.io.write_output(line)
        kept = sum(path.stat().st_size for path in rig.folder.iterdir() if path.suffix != ".index")
        assert 50_000 < kept < 110_000
        rig.another_supervisor()
        rig.connect()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:10],
        lambda data: data + b"x",
        lambda data: bytes(len(data)),
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: encode(b"\0no emulator's", int.from_bytes(data[8:16], "little")),
    ],
    ids=["empty", "torn", "torn in its head", "longer", "zeros", "flipped", "of another release"],
)
def test_a_damaged_checkpoint_is_passed_over(
    make: Callable[..., Rig], damage: Callable[[bytes], bytes]
) -> None:
    """The one before it is used, and where none is whole, the journal's beginning."""
    rig = make(tty=True)
    for line in LINES:
        rig.io.write_output(line)
    whole = without_checkpoints(rig.folder)
    for path in reversed(checkpoints(rig.folder)):
        path.write_bytes(damage(path.read_bytes()))
        screen = rebuilt(rig.folder)
        assert screen.restore() == whole.restore()
        screen.close()


def test_a_checkpoint_belongs_to_its_offset() -> None:
    """A writer may have been killed between a checkpoint and its segment, and more output come since."""
    data = encode(b"state", 7)
    assert decode(data, 7) == b"state"
    assert decode(data, 8) is None


def test_a_writer_killed_after_a_checkpoint_leaves_none_that_is_wrong(
    make: Callable[..., Rig],
) -> None:
    """A checkpoint without its segment is written anew, with the sizes since."""
    rig = make(tty=True)
    while len(checkpoints(rig.folder)) < 3:
        rig.io.write_output(LINES[0])
    newest = checkpoints(rig.folder)[-1]
    for suffix in ("index", "stdout"):
        newest.with_suffix(f".{suffix}").unlink()  # as if it had not been begun
    rig.another_supervisor()
    rig.connect()
    rig.session.resize(TerminalSize(33, 5), PixelSize())
    rig.io.write_output(LINES[1])
    lived = rig.session.screen
    assert lived is not None
    assert_alike(rebuilt(rig.folder), lived)


def test_a_full_disk_costs_the_checkpoint_alone(make: Callable[..., Rig]) -> None:
    """The output still finds room, and an earlier checkpoint still leads to the screen."""
    rig = make(tty=True)
    rig.io.write_output(LINES[0] * 4)
    with files_of_at_most(200):
        rig.io.write_output(LINES[1])
    assert checkpoints(rig.folder) == []
    assert list(rig.folder.glob("*.new")) == []
    lived = rig.session.screen
    assert lived is not None
    assert_alike(rebuilt(rig.folder), lived)


def test_no_screen_is_kept_in_a_sequence_without_end(make: Callable[..., Rig]) -> None:
    """The emulator can't tell its state there; the next segment has its checkpoint again."""
    rig = make(tty=True)
    rig.io.write_output(b"\x1b]2;")
    for _ in range(18):
        rig.io.write_output(b"x" * 65536)
    before = len(checkpoints(rig.folder))
    rig.io.write_output(b"y")
    assert len(checkpoints(rig.folder)) == before
    rig.io.write_output(b"\x07after" + b"." * 40)
    rig.io.write_output(b"wards")
    assert len(checkpoints(rig.folder)) == before + 1


def test_a_large_screen_is_kept_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """To keep it takes no more than a part of what the output takes."""
    monkeypatch.setattr("moat.session.checkpoints._OUTPUT_FOR_A_BYTE", 2)
    screen = Screen(SIZE, SCROLLBACK)
    kept = Checkpoints(screen)
    state = kept.take(1000)
    assert state is not None
    assert kept.take(1000 + 2 * len(state) - 1) is None
    assert kept.take(1000 + 2 * len(state)) is not None
    screen.close()


def test_a_session_without_a_terminal_keeps_no_screens(make: Callable[..., Rig]) -> None:
    """Its output is a stream of bytes."""
    rig = make()
    for line in LINES:
        rig.io.write_output(line)
    assert checkpoints(rig.folder) == []
    assert opening(JournalReader(rig.folder), SCROLLBACK) == b""


def test_a_journal_without_checkpoints_is_read_as_ever(make: Callable[..., Rig]) -> None:
    """Journals of earlier versions have none."""
    rig = make(tty=True)
    for line in LINES:
        rig.io.write_output(line)
    for path in checkpoints(rig.folder):
        path.unlink()
    lived = rig.session.screen
    assert lived is not None
    assert_alike(rebuilt(rig.folder), lived)

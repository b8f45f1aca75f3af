"""Screens against other screens: a restored one must look and behave the same."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import struct
import sys
import termios
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.session.screens import (
    SCROLLBACK,
    assert_same,
    cells_of,
    copy_of,
    look,
    pieces,
)

import moat
from moat.session.terminal.filter import OutputFilter
from moat.session.terminal.ghostty_abi import Data, GhosttyError
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from pathlib import Path

SIZE = TerminalSize(20, 6)


def screen_of(*chunks: bytes, size: TerminalSize = SIZE, scrollback: int = SCROLLBACK) -> Screen:
    screen = Screen(size, scrollback)
    for chunk in chunks:
        screen.feed(chunk)
    return screen


def viewer_of(screen: Screen, *, shown_before: bytes = b"", scrollback: bool = True) -> Screen:
    """Return a terminal of the same size that has been attached to the screen."""
    return screen_of(shown_before, screen.restore(scrollback=scrollback), size=screen.size)


# --- restore ---

CASES = {
    "nothing": b"",
    "attributes": b"\x1b[1;31mhi\x1b[0m there\r\n  x\x1b[4:3;58:2::1:2:3mcurly",
    "long lines": b"abcdefghijklmnopqrstuvwxyz\r\nfoo",
    "about to wrap": b"abcdefghijklmnopqrst",
    "about to wrap after a wide character": "abcdefghijklmnopqr你".encode(),
    "a wide character that did not fit": ("a" * 19 + "你b").encode(),
    "coloured to the end of the line": b"a   \r\n\r\n\x1b[44mb  \x1b[K\r\n\x1b[K",
    "coloured all over": b"\x1b[48;5;3m\x1b[2J\x1b[0m\x1b[3;3Hx",
    "coloured in the middle of an empty line": b"\x1b[3;5H\x1b[41m\x1b[4X",
    "scrolled": b"\r\n".join(b"line %d" % n for n in range(30)),
    "modes": b"\x1b[?1002h\x1b[?1006h\x1b[?1004h\x1b[?2004h\x1b[?1h\x1b=\x1b[?25l\x1b[4 q\x1b[?7l",
    "insert and new-line mode": b"\x1b[4h\x1b[20hab\x1b[1;1H",
    "margins": b"\x1b[2;4r\x1b[3;3Hx",
    "margins with origin": b"\x1b[2;4r\x1b[?6h\x1b[2;3Hx",
    "margins on all sides": b"\x1b[?69h\x1b[3;10s\x1b[2;4r\x1b[?6h\x1b[2;3Hx",
    "line drawing": b"\x1b(0qqq",
    "line drawing in G1": b"\x1b)0\x0eqqq",
    "kitty's keyboard stack": b"\x1b[>1u\x1b[>5u",
    "modifyOtherKeys": b"\x1b[>4;2m",
    "links": b"x \x1b]8;;http://a\x07one\x1b]8;;\x07 \x1b[31m\x1b]8;;http://b\x07two\x1b]8;;\x07 y",
    "an open link": b"\x1b]8;;http://x\x1b\\hello",
    "graphemes": "你好👨‍👩‍👧‍👦é́x".encode(),
    "clustered graphemes": b"\x1b[?2027h" + "👨‍👩‍👧‍👦x".encode(),
    "tab stops": b"\x1b[3g\x1b[5G\x1bH",
    "a saved cursor": b"ab\x1b[31m\x1b7\x1b[m\r\ncd",
    "title": "\x1b]2;hé\x07".encode(),
    "protected": b'\x1b[1"qab',
    "alternate": b"primary\r\n\x1b[31m$ \x1b[?1049h\x1b[2;2Halt",
    "alternate with scrollback": b"\r\n".join(b"l%d" % n for n in range(20)) + b"\x1b[?1049hhi",
    "alternate by 47": b"primary\x1b7\r\nfoo\x1b[?47halt",
    "alternate by 1047": b"primary\x1b7\r\nfoo\x1b[?1047halt",
    "two keyboards": b"\x1b[>1u\x1b[?1049h\x1b[>5u",
    "middle of a sequence": b"abc\x1b[3",
    "middle of a title": b"abc\x1b]2;tit",
}


@pytest.mark.parametrize("output", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("scrollback", [True, False])
def test_a_restored_screen_is_the_same(output: bytes, scrollback: bool) -> None:
    """A viewer's terminal shows, and does next, what the program's would (attach 13 to 16)."""
    one = screen_of(output)
    other = viewer_of(one, scrollback=scrollback)
    # A viewer gets the rest of what was unfinished whole: here it is cut short for both.
    for screen in (one, other):
        screen.feed(b"\x18")
    assert_same(one, other, scrollback=scrollback)


@pytest.mark.parametrize("scrollback", [True, False])
def test_an_update_that_is_in_progress_is_shown(scrollback: bool) -> None:
    """A viewer can't know whether its end will ever come; terminals show nothing before (attach 48)."""
    other = viewer_of(screen_of(b"\x1b[?2026hhalf"), scrollback=scrollback)
    assert other.text().startswith("half")
    assert not other.modes["synchronized_output"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([47, 1047, 1049]).flatmap(lambda n: st.lists(pieces(n), max_size=25)))
@example(  # a wrap onto a coloured background, at the bottom
    ["aaaaaa你你".encode(), b"\x1b[5S", b"\x1b[48;2;1;2;3m", "aaaaa你你你".encode()]
)
def test_whatever_was_written_is_restored(output: list[bytes]) -> None:
    """Text, moves, edits, margins, modes and both screens are restored, whatever their order."""
    one = screen_of(*output)
    other = viewer_of(one)
    try:
        assert_same(one, other)
    finally:
        one.close()
        other.close()


def test_a_viewer_in_whatever_state_is_brought_to_this_one() -> None:
    """A repaint relies on nothing: a viewer's stale modes, margins, attributes, screens are gone."""
    one = screen_of(b"hello\r\n\x1b[31mworld")
    junk = (
        b"\x1b[?1049h\x1b[2;4r\x1b[?6h\x1b[7m\x1b(0\x1b[4hqq\x1b[?7l\x1b[?1003h\x1b[?2004h\x1b[?25l"
        b"\x1b[>5u\x1b[>4;2m\x1b[5 q\x1b]8;;http://x\x1b\\\x1b[?69h\x1b[3;5s\x1b[20h\x1b[?5h\x1b="
    )
    other = viewer_of(one, shown_before=junk, scrollback=False)
    looks, expected = look(other), look(one)
    assert {k: (expected[k], looks[k]) for k in expected if expected[k] != looks[k]} == {}


@pytest.mark.parametrize("rows_used", [0, 1, 3, 5, 6, 20])
def test_what_the_viewer_showed_before_is_kept_above(rows_used: int) -> None:
    """The shell's text goes into the scrollback, and the run's follows without a gap (case 17)."""
    shell = b"".join(b"$ %d\r\n" % n for n in range(rows_used))
    one = screen_of(b"\r\n".join(b"line %d" % n for n in range(10)))
    other = viewer_of(one, shown_before=shell)
    assert other.text() == one.text()
    assert other.cursor == one.cursor
    expected = [f"$ {n}" for n in range(rows_used)] + [f"line {n}" for n in range(10)]
    assert other.contents().split("\n") == expected


def test_only_the_scrollback_that_was_asked_for_is_shown() -> None:
    """The emulator keeps more lines, in pages, but viewers get as many as were asked for."""
    one = screen_of(b"\r\n".join(b"%d" % n for n in range(1000)), scrollback=10)
    expected = [str(n) for n in range(1000 - 10 - SIZE.rows, 1000)]
    assert one.contents().split("\n") == expected
    assert viewer_of(one).contents().split("\n") == expected


@pytest.mark.parametrize("columns", [2, 20, 80, 200])
def test_as_much_scrollback_is_kept_as_was_asked_for(columns: int) -> None:
    """All lines are kept, however wide the screen is and however much more was written."""
    size = TerminalSize(columns, 6)
    one = screen_of(b"\r\nx" * 5000, size=size, scrollback=700)
    assert len(one.contents().split("\n")) == 706


def test_lines_with_many_attributes_are_kept_as_well() -> None:
    """Lines that take far more memory than plain ones are kept, too: the limit grows with them."""
    size = TerminalSize(120, 40)
    screen = screen_of(size=size, scrollback=2000)
    for n in range(12_000):
        cells = (f"\x1b[38;2;{n % 256};{x};{n // 256}mé\u0301" for x in range(30))
        screen.feed("".join(cells).encode() + b"\r\n")
    assert screen._terminal.get(Data.SCROLLBACK_ROWS) >= 2000
    # And goes back with them.
    for _ in range(100):
        screen.feed(b"plain\r\n" * 1000)
    assert 2000 <= screen._terminal.get(Data.SCROLLBACK_ROWS) < 10_000


def test_a_wrapped_line_stays_one_line_in_the_viewer() -> None:
    """A viewer's terminal that is made wider shows a wrapped line on one row."""
    line = "".join(chr(ord("a") + n % 26) for n in range(50))
    other = viewer_of(screen_of(line.encode() + b"\r\nnext"))
    other.resize(TerminalSize(60, 6))
    assert line in other.text().split("\n")


def test_narrow_and_wide_again_loses_nothing() -> None:
    """The scrollback of a wide screen survives the turn of a narrow viewer (case 18)."""
    lines = [f"line {n} {'x' * 50}" for n in range(40)]
    one = screen_of("\r\n".join(lines).encode(), size=TerminalSize(70, 10), scrollback=100)
    one.resize(TerminalSize(25, 10))
    one.resize(TerminalSize(70, 10))
    assert one.contents().split("\n") == lines
    assert viewer_of(one).contents().split("\n") == lines


# --- programs ---


def run(command: list[str], size: TerminalSize) -> tuple[int, int]:
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", PS1="$ ", LINES="", COLUMNS="")
        del os.environ["LINES"], os.environ["COLUMNS"]
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
        os.execvp(command[0], command)
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
    return pid, fd


CURSES = """
import curses, sys
def main(w):
    curses.start_color(); curses.init_pair(1, curses.COLOR_YELLOW, curses.COLOR_BLUE)
    w.bkgd(" ", curses.color_pair(1)); w.addstr(3, 5, "ready", curses.A_BOLD); w.box(); w.refresh()
    while (key := w.getkey()) != "q":
        w.addstr(5, 5, "pressed " + key, curses.A_REVERSE); w.refresh()
curses.wrapper(main)
"""

PROGRAMS: dict[str, tuple[list[str], str, bytes, str]] = {
    # command, what it shows when it is ready, keys, what it shows then
    "vim": (
        ["vim", "-u", "NONE", "-N", "README.txt"],
        r"line 1\n",
        b":set nu\rGo you \x1b",
        r"o? you",
    ),
    "less": (["less", "README.txt"], r"line 1\n", b"G", r"line 200"),
    "htop": (["htop"], r"F10", b"\x1b[B\x1b[B", r"F10"),
    "bash": (["bash", "--norc", "-i"], r"\$\n", b"echo $((6*7)); tput sc\r", r"42"),
    "curses": ([sys.executable, "-c", CURSES], r"ready", b"x", r"pressed x"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_looks_the_same_after_detach_and_attach(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer that comes late and one that saw everything show the same to the end (case 13)."""
    command, ready, keys, then = PROGRAMS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / "README.txt").write_text("".join(f"line {n}\n" for n in range(1, 201)))
    monkeypatch.chdir(tmp_path)
    size = TerminalSize(90, 25)
    program, there_all_along = screen_of(size=size), screen_of(size=size)
    output = OutputFilter()
    viewers = [there_all_along]
    pid, fd = run(command, size)

    def until(pattern: str) -> None:
        while not re.search(pattern, program.text().rstrip() + "\n", re.MULTILINE):
            assert select.select([fd], [], [], 120)[0], f"{name} shows {program.text()!r}"
            data = os.read(fd, 65536)
            program.feed(data)
            os.write(fd, program.take_replies() or b"")
            shown = output.feed(data)
            for viewer in viewers:
                viewer.feed(shown)

    try:
        until(ready)
        attached = viewer_of(program)
        viewers.append(attached)
        os.write(fd, keys)
        until(then)
    finally:
        os.close(fd)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    expected = look(program)
    for viewer in (there_all_along, attached):
        looks = look(viewer)
        assert {k: (expected[k], looks[k]) for k in expected if expected[k] != looks[k]} == {}


# --- queries ---

VERSION = moat.__version__.encode()

ANSWERS = {
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[>c": b"\x1b[>1;0;0c",
    b"\x1b[=c": b"\x1bP!|00000000\x1b\\",
    b"\x1b[5n": b"\x1b[0n",
    b"ab\x1b[6n": b"\x1b[1;3R",
    b"\x1b[?996n": b"\x1b[?997;1n",
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",
    b"\x1b[4$p": b"\x1b[4;2$y",
    b"\x1b[>q": b"\x1bP>|moat " + VERSION + b"\x1b\\",
    b"\x1b[>5u\x1b[?u": b"\x1b[?5u",
    b"\x1b]10;?\x07": b"\x1b]10;rgb:d0d0/d0d0/d0d0\x07",
    b"\x1b]11;?\x1b\\": b"\x1b]11;rgb:1010/1010/1010\x1b\\",
    b"\x1b[14t": b"\x1b[4;96;160t",
    b"\x1b[16t": b"\x1b[6;16;8t",
    b"\x1b[18t": b"\x1b[8;6;20t",
    b"\x1bP$qm\x1b\\": b"\x1bP1$r0m\x1b\\",
    b"\x1bP+q544e\x1b\\": b"\x1bP1+r544E=" + b"xterm-256color".hex().upper().encode() + b"\x1b\\",
    # Not answered: what would put the program's words into its own input, or claims what isn't there.
    b"\x05": b"",
    b"\x1b]2;rm -rf\x07\x1b[21t\x1b[20t": b"",
    b"\x1b]52;c;?\x07": b"",
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\": b"",
}


@pytest.mark.parametrize(("query", "answer"), ANSWERS.items())
def test_queries_are_answered(query: bytes, answer: bytes) -> None:
    """A query has one answer, which can be taken once."""
    screen = screen_of(query)
    assert screen.take_replies() == answer
    assert screen.take_replies() == b""


def test_a_program_that_asks_and_never_reads_is_bounded() -> None:
    """Answers that the program doesn't read don't add up without end."""
    screen = screen_of(b"\x1b[c" * 100_000)
    assert len(screen.take_replies()) < 100_000


def test_a_resize_is_reported_in_band_to_a_program_that_asked_for_it() -> None:
    """The emulator answers to mode 2048, so viewers never get it."""
    screen = screen_of(b"\x1b[?2048h")
    screen.take_replies()
    screen.resize(TerminalSize(30, 7))
    assert screen.take_replies() == b"\x1b[48;7;30;112;240t"
    assert b"2048" not in screen.restore()


# --- reading it ---


def test_text_json_and_html() -> None:
    """The same screen can be had as text, JSON and HTML."""
    screen = screen_of(b"\x1b]2;ti\x9btle\x07one\r\n  \x1b[31mtwo <&\x1b[0m  \x1b[?2004h")
    assert screen.text() == "one\n  two <&\n\n\n\n"
    state = screen.as_json()
    assert state["text"] == ["one", "  two <&", "", "", "", ""]
    assert state["cursor"] == {"column": 10, "row": 1, "visible": True}
    assert (state["columns"], state["rows"], state["alternate"]) == (20, 6, False)
    assert state["modes"]["bracketed_paste"]
    assert not state["modes"]["insert"]
    assert "two &lt;&amp;" in screen.html()
    assert "<style>" in screen.html()


def test_a_title_has_no_control_characters() -> None:
    """Titles are shown in lists and on other terminals, so they hold printable characters only."""
    screen = screen_of("\x1b]2;a\x01b\u202ec\u0085é\x07".encode())
    assert screen.title == "abcé"


def test_contents_have_the_scrollback_and_whole_lines() -> None:
    """The text that `moat wait --text` searches has the scrollback, and wrapped lines in one piece."""
    screen = screen_of(b"first\r\n" + b"x" * 30 + b"\r\n" * 10 + b"last")
    assert screen.contents().split("\n") == ["first", "x" * 30, *[""] * 9, "last"]


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [
        (4, 2, ["abcd", "  re"]),
        (3, 1, ["abc"]),
        (1, 9, ["a", "", "", "", "", ""]),
        (4, 9, ["abcd", "  re", "你x", "", "", ""]),
        (40, 9, ["abcdef", "  red", "你x好", "", "", ""]),
        (0, 0, []),
    ],
)
def test_rows_for_a_smaller_or_larger_viewer(columns: int, rows: int, expected: list[str]) -> None:
    """Rows are cut at the viewer's edge, but never in the middle of a wide character."""
    screen = screen_of("abcdef\r\n  \x1b[31mred\x1b[0m\r\n你x好".encode())
    shown = [cells_of(row) for row in screen.rows_vt(0, columns, rows)]
    assert ["".join(character for character, _ in row) for row in shown] == expected


def test_each_row_is_independent() -> None:
    """Rows that are drawn in any order onto another screen give the same picture."""
    one = screen_of("\x1b[44mab\x1b[1mcd\r\n你好\x1b[7m \x1b[K\r\n\x1b[0mplain\x1b[3X".encode())
    other = screen_of()
    for y, row in reversed(list(enumerate(one.rows_vt(0, SIZE.columns, SIZE.rows)))):
        other.feed(b"\x1b[%d;1H\x1b[m\x1b[K%b\x1b[m" % (y + 1, row))
    assert look(other)["cells"] == look(one)["cells"]


# --- keeping it ---


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces(1049), max_size=15).map(b"".join), st.data())
def test_a_snapshot_goes_on_where_the_screen_was(output: bytes, data: st.DataObject) -> None:
    """A snapshot can be taken at any byte, in the middle of a sequence or a character, too."""
    cut = data.draw(st.integers(0, len(output)))
    whole = screen_of(output)
    resumed = copy_of(screen_of(output[:cut]))
    resumed.feed(output[cut:])
    assert look(resumed) == look(whole)


def test_a_snapshot_answers_and_keeps_scrollback_like_the_screen() -> None:
    """Settings that a snapshot lacks are made again."""
    screen = copy_of(screen_of(b"\r\n".join(b"%d" % n for n in range(40))))
    screen.feed(b"\x1b[>q\x1b[18t\x1b]11;?\x07")
    replies = screen.take_replies()
    assert replies.startswith(b"\x1bP>|moat")
    assert b"\x1b[8;6;20t" in replies
    assert b"rgb:1010" in replies
    assert len(screen.contents().split("\n")) == 40


@pytest.mark.parametrize(
    "start", [b"\x1b[3", b"\x1b]2;tit", b"\x1b", b"\x1bPq", "你".encode()[:2], b""]
)
def test_a_new_filter_goes_on_where_the_screen_is(start: bytes) -> None:
    """A supervisor that adopts the run in the middle of a sequence shows no half of it."""
    screen = screen_of(b"text\x1b[m" + start)
    assert screen.incomplete_output() == start
    output = OutputFilter()
    assert output.feed(screen.incomplete_output()) == b""
    assert output.pending == len(start)


def test_there_is_no_snapshot_in_an_endless_sequence() -> None:
    """A snapshot would lack the beginning of the sequence; after its end there is one again."""
    screen = screen_of(b"\x1b]2;" + b"x" * 2_000_000)
    assert screen.snapshot() is None
    screen.feed(b"\x07")
    assert screen.snapshot() is not None


def test_an_endless_sequence_is_no_obstacle_to_attaching() -> None:
    """The screen is restored all the same: a hostile program might never end its sequence."""
    screen = screen_of(b"primary\x1b[?1049h\x1b[3;3Halternate\x1b[?2004h")
    screen.feed(b"\x1b]2;" + b"x" * 2_000_000)
    viewer = viewer_of(screen)
    assert viewer.text() == screen.text()
    assert viewer.cursor == screen.cursor
    assert viewer.alternate
    assert viewer.modes == screen.modes


@pytest.mark.parametrize("broken", [b"", b"\0", b"\0garbage", b"\x03ab"])
def test_a_broken_snapshot_is_refused(broken: bytes) -> None:
    """A damaged snapshot is an error, after which the caller rebuilds the screen from the journal."""
    with pytest.raises(GhosttyError):
        Screen.from_snapshot(broken, SCROLLBACK)


def test_a_closed_screen_says_so() -> None:
    """A closed screen raises a clear error, and can be closed twice."""
    screen = screen_of()
    screen.close()
    screen.close()
    with pytest.raises(GhosttyError, match="closed"):
        screen.feed(b"x")


def resident() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123  a file of the kernel's
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize(
    "beginning", [b"\x1b]2;", b"\x1b]52;c;", b"\x1b_Gf=24;", b"\x1bPq", b"\x1b["]
)
def test_memory_of_an_endless_sequence_is_bounded(beginning: bytes) -> None:
    """An endless sequence of any kind takes a bounded amount of memory."""
    screen = screen_of(beginning)
    before = resident()
    for _ in range(40):
        screen.feed(b"1" * 1_000_000)
    assert resident() - before < 16 * 1024 * 1024
    screen.close()


def test_memory_of_a_screen_is_bounded() -> None:
    """2000 lines above a large screen cost less than 10 MB, whatever was written before."""
    screen_of(b"x", size=TerminalSize(200, 50)).close()
    before = resident()
    screen = screen_of(size=TerminalSize(200, 50), scrollback=2000)
    for n in range(20_000):
        screen.feed(b"\x1b[38;5;%dm%d some text that says something\x1b[m\r\n" % (n % 256, n))
    assert resident() - before < 10 * 1024 * 1024


def test_basic_colours_stay_basic() -> None:
    """Some terminals show the first sixteen colours differently when they are indexed."""
    drawn = screen_of(b"\x1b[36;101mx\x1b[97;44my\x1b[0;38;5;200mz").rows_vt(0, 80, 1)[0]
    for basic in (b"\x1b[36m", b"\x1b[101m", b"\x1b[97m", b"\x1b[44m", b"\x1b[38;5;200m"):
        assert basic in drawn


# --- terminals that disagree about widths ---

FAMILY = "👨‍👩‍👧‍👦"
UNSURE = {
    "CJK": ("你", 2),
    "ZWJ": (FAMILY, 8),
    "VS16": ("❤\ufe0f", 1),
    "combining": ("e\u0301", 1),
    "ambiguous": ("─", 1),
}
"""Characters that terminals disagree about, and the columns that the emulator gives them."""


@pytest.mark.parametrize(("character", "columns"), UNSURE.values(), ids=UNSURE.keys())
@pytest.mark.parametrize("wider", [True, False])
@pytest.mark.parametrize("scrollback", [True, False])
def test_a_character_of_another_width_shifts_no_other_row(
    character: str, columns: int, wider: bool, scrollback: bool
) -> None:
    """It may look wrong in a viewer; the rows around it are where the program has them (case 53)."""
    rows = [f"{n} plain" if n % 2 else f"{n}" + character * (18 // columns) for n in range(21)]
    one = screen_of("\r\n".join(rows).encode() + b"\x1b[2;5H")
    painted = one.restore(scrollback=scrollback)
    # A viewer that takes it for twice as wide, or doesn't show it at all.
    assert character.encode() in painted
    shown = painted.replace(character.encode(), (character * 2 if wider else "").encode())
    other = screen_of(shown, size=one.size)
    assert other.cursor == one.cursor
    for ours, theirs in zip(one.text().split("\n"), other.text().split("\n"), strict=True):
        assert ours[:2] == theirs[:2]
        assert ours == theirs or "plain" not in ours
    if scrollback:
        starts = [line.split(" ")[0] for line in other.contents().split("\n") if "plain" in line]
        assert starts == [f"{n}" for n in range(21) if n % 2]


@pytest.mark.parametrize(("character", "columns"), UNSURE.values(), ids=UNSURE.keys())
def test_a_picture_has_its_rows_in_their_places(character: str, columns: int) -> None:
    """A row that a viewer takes for too long would wrap over the next, or scroll the picture."""
    one = screen_of(
        "\r\n".join("plain" if n % 2 else character * (20 // columns) for n in range(6)).encode()
    )
    viewer = screen_of()
    for y, row in enumerate(one.rows_vt(0, SIZE.columns, SIZE.rows)):
        wide = row.replace(character.encode(), (character * 2).encode())
        viewer.feed(b"\x1b[%d;1H\x1b[m\x1b[K%b\x1b[m" % (y + 1, wide))
    assert viewer.text().split("\n")[1::2] == ["plain"] * 3
    assert viewer.contents().count("plain") == 3


def test_a_long_line_stays_one_line_where_widths_are_certain() -> None:
    """A viewer copies it as one, and wraps it anew at another size."""
    line = "Größe привет " * 4
    viewer = viewer_of(screen_of(line.encode()))
    assert viewer.contents() == line.rstrip()


# --- how much scrollback is kept ---

WIDE = TerminalSize(300, 10)


def coloured(number: int) -> bytes:
    """Return a line with a colour of its own in each cell."""
    cells = (
        b"\x1b[38;2;%d;%d;%dm%c" % (number % 256, x % 256, number // 256, 97 + x % 26)
        for x in range(WIDE.columns)
    )
    return b"".join(cells) + b"\x1b[m\r\n"


@pytest.mark.parametrize(
    "before", [b"", b"plain\r\n" * 20_000], ids=["at once", "after plain text"]
)
def test_all_lines_are_kept_however_many_colours_they_have(before: bytes) -> None:
    """2,000 lines of 300 cells, each of another colour (case 52)."""
    screen = screen_of(before, size=WIDE, scrollback=2000)
    screen.feed(b"".join(map(coloured, range(2100))))
    kept = screen._terminal.get(Data.SCROLLBACK_ROWS)
    assert kept >= 2000
    screen.feed(b"plain\r\n" * 2000)  # pages are used again, and the limit is adjusted
    assert screen._terminal.get(Data.SCROLLBACK_ROWS) >= 2000
    copy = Screen.from_snapshot(screen.snapshot() or b"", 2000)
    assert copy.contents() == screen.contents()
    assert len(screen.contents().split("\n")) >= 2000


def test_scrollback_is_bounded_in_bytes() -> None:
    """A user who has little memory gets fewer lines."""
    screen = Screen(WIDE, 2000, scrollback_bytes=3_000_000)
    screen.feed(b"".join(map(coloured, range(1000))))
    assert 100 < screen._terminal.get(Data.SCROLLBACK_ROWS) < 600


def test_plain_lines_do_not_use_what_coloured_ones_may() -> None:
    """No more than a few pages over what was asked for, so that an idle run is small."""
    screen = screen_of(size=TerminalSize(80, 24), scrollback=2000)
    most = 0
    for _ in range(40):
        screen.feed(b"some plain text\r\n" * 2000)
        most = max(most, screen._terminal.get(Data.SCROLLBACK_ROWS))
    assert 2000 <= screen._terminal.get(Data.SCROLLBACK_ROWS) <= most < 10_000


def test_the_last_lines_are_those_near_the_cursor() -> None:
    """Without empty rows; of a huge screen, only a part is looked at."""
    screen = Screen(TerminalSize(20, 10), scrollback=0)
    screen.feed(b"one\r\n\r\n  two\r\nthree\r\n\r\n")
    assert screen.last_lines(2) == ["two", "three"]
    assert screen.last_lines(9) == ["one", "two", "three"]
    screen.close()
    screen = Screen(TerminalSize(2000, 2000), scrollback=0)
    screen.feed(b"".join(b"\x1b[%d;1H%d" % (row, row) + b"x" * 1900 for row in range(1, 2001)))
    screen.feed(b"\x1b[1000;1H")
    found = screen.last_lines(3)
    assert [line[:4] for line in found] == ["1000", "1001", "1002"]
    assert len(found[0]) == 400
    screen.close()

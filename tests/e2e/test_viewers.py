"""Several windows on one run, and what a hostile program sends to them."""

from __future__ import annotations

import base64
import re
import signal
from typing import Any

import pytest

P = b"\x1f"

SIZES = """\
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
while True:
    size = os.get_terminal_size()
    print(f"\\033[2J\\033[Hsize {size.columns} {size.lines};", flush=True)
    print(f"\\033[{size.lines};{size.columns - 5}Hcorner\\033[2;1H", end="", flush=True)
    signal.sigwait([signal.SIGWINCH])
"""


def test_who_types_leads(moat: Any, terminal: Any) -> None:
    """The program has the size of the window that typed last; the other shows a part of it."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    wide = terminal("run", "-i", "-n", "x", "--", "python3", "sizes.py", size=(100, 30))
    wide.shows("size 100 30;")
    small = terminal("attach", "x", size=(60, 15))
    small.shows("size 100 30;")
    assert "corner" not in small.screen.text()
    small.send(b"x")
    small.shows("size 60 15;")
    small.shows("corner")
    wide.shows("size 60 15;")
    wide.until(lambda: wide.screen.text().split("\n")[14].endswith(" corner"))
    wide.send(b"x")
    wide.shows("size 100 30;")
    small.shows("size 100 30;")
    small.until(lambda: "corner" not in small.screen.text())
    # Only what is typed leads: to resize a window that looks on changes nothing for the program.
    small.resize(50, 12)
    small.shows("size 100 30;")
    assert moat.json("screen", "x", "--json")["columns"] == 100


@pytest.mark.parametrize("way", ["detaches", "is killed", "is closed"])
def test_the_leader_goes(moat: Any, terminal: Any, way: str) -> None:
    """The program is of the size of the one that stays, which need not type for that."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    wide = terminal("run", "-i", "-n", "x", "--", "python3", "sizes.py", size=(100, 30))
    wide.shows("size 100 30;")
    guest = terminal("attach", "--read-only", "x", size=(55, 14))
    guest.shows("size 100 30;")  # so it is older than the next
    small = terminal("attach", "x", size=(60, 15))
    small.shows("size 100 30;")
    late = terminal("attach", "--read-only", "x", size=(50, 12))
    late.shows("size 100 30;")
    if way == "detaches":
        wide.send(P + b"d")
        assert wide.wait() == 0
    elif way == "is killed":
        wide.kill()
    else:
        wide.hang_up()
    small.shows("size 60 15;")
    small.resize(61, 16)
    small.shows("size 61 16;")
    small.send(P + b"d")
    assert small.wait() == 0
    late.shows("size 50 12;")
    guest.shows("size 50 12;")


def test_what_takes_no_lead(byte_log: Any, moat: Any, terminal: Any) -> None:
    """Focus, motion and the wheel are reported to the program, and answers not even that."""
    app = byte_log()
    other = terminal("attach", "x", size=(60, 15))
    other.shows("ready")
    for report in (b"\x1b[I", b"\x1b[<35;3;4M", b"\x1b[<65;3;4M", b"\x1b[<0;3;4m"):
        other.send(report)
        app.got(report)
    other.send(b"\x1b[?1;2c\x1b]11;rgb:0000/0000/0000\x07\x1bP>|xterm\x1b\\\x1b[I")
    app.got(b"\x1b[I")
    assert moat.json("screen", "x", "--json")["columns"] == 80
    other.send(b"\x1b[<0;3;4M")
    app.got(b"\x1b[<0;3;4M")
    assert moat.json("screen", "x", "--json")["columns"] == 60


def test_pixels_reach_the_program(moat: Any, terminal: Any) -> None:
    """Those of the window that leads, from the beginning and when they change."""
    program = (
        "import fcntl, signal, struct, termios\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
        "while True:\n"
        "    size = struct.unpack('HHHH', fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))\n"
        "    print(*size, end=';\\r\\n', flush=True)\n"
        "    signal.sigwait([signal.SIGWINCH])\n"
    )
    (moat.workspace / "pixels.py").write_text(program)
    window = terminal("run", "-i", "-n", "x", "--", "python3", "pixels.py")
    window.shows("24 80 0 0;")
    window.resize(81, 25, pixels=(810, 500))
    window.shows("25 81 810 500;")
    other = terminal("attach", "x")
    other.shows("25 81 810 500;")
    window.resize(60_000, 25)
    window.shows("25 2000 0 0;")


def test_a_small_window_follows_the_cursor(moat: Any, terminal: Any) -> None:
    """To whatever corner, read-only or not; vim's cursor is where it is in a large window."""
    lines = "\n".join(f"{number:03}" + "." * 80 + f"end {number:03}" for number in range(100))
    (moat.workspace / "long").write_text(lines)
    wide = terminal("run", "-i", "-n", "x", "--", "vim", "-u", "NONE", "long", size=(100, 30))
    wide.shows("000...")
    small = [terminal("attach", *how, "x", size=(40, 10)) for how in ([], ["--read-only"])]
    for each in small:
        each.shows("000...")
    wide.send(b"20G$")
    for each in small:
        each.shows("end 019")
        assert b"\x1b[?1000h" not in each.output
    wide.send(b"1G0")
    for each in small:
        each.shows("000...")


@pytest.mark.parametrize("way", ["detach", "stop", "kill"])
def test_the_last_line_comes_below_all_that_is_shown(moat: Any, terminal: Any, way: str) -> None:
    """A program that draws on the main screen leaves its cursor above its last row."""
    script = "printf 'a\\nb\\nc\\033[2A'; exec cat"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", script)
    window.shows("c")
    moat.ok(way, "x")
    window.wait()
    rows = [row.rstrip() for row in window.screen.text().split("\n")]
    assert rows.index("c") == rows.index("a") + 2
    assert window.screen.cursor[1] > rows.index("c")


def test_a_hint_goes_without_a_trace(byte_log: Any, moat: Any) -> None:
    """It is on the last row while the prefix waits, which the program then gets."""
    moat.write_settings("prefix_timeout: 0\n")  # else it is shown for a moment only
    app = byte_log()
    before = app.window.screen.text()
    app.window.send(P)
    app.window.shows("d detach")
    app.window.send(b"x")
    app.got(P + b"x")
    app.window.until(lambda: "d detach" not in app.window.screen.text())
    assert app.window.screen.text().startswith(before.rstrip())


def test_a_prefix_that_waits(byte_log: Any, moat: Any) -> None:
    """For as long as it takes, by setting; nothing of it is typed into the program."""
    moat.write_settings("prefix_timeout: 0\n")
    app = byte_log()
    app.window.send(P)
    app.window.shows("d detach")
    app.window.linger(0.8)
    app.window.send(b"d")
    assert app.window.wait() == 0
    assert app.typed() == b""


def test_a_terminal_that_draws_nothing_keeps_nobody_waiting(moat: Any, terminal: Any) -> None:
    """Its run ends, its supervisor leaves, and the run can be destroyed."""
    script = "echo ready; read _; yes $(seq 200) | head -c 3000000; exit 3"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", script)
    window.shows("ready")
    window.kill(signal.SIGSTOP)
    moat.ok("send", "x", "--", "go\r")
    moat("wait", "x")
    moat.ok("destroy", "x")


def test_an_update_that_never_ends(moat: Any, terminal: Any) -> None:
    """Who attaches in the middle of a synchronised one sees what is there, and so does who detaches."""
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c", "printf '\\033[?2026hhalf'; exec cat")
    moat.ok("wait", "--text", "half", "x")
    window = terminal("attach", "x")
    window.expect(rb"half.*\x1b\[\?2026l")
    window.send(P + b"d")
    assert window.wait() == 0
    assert "half" in window.screen.text()


def test_a_tiny_window_shrinks_nobody(moat: Any, terminal: Any) -> None:
    """Two columns and two rows, and it even types: the program keeps its size."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    wide = terminal("run", "-i", "-n", "x", "--", "python3", "sizes.py", size=(100, 30))
    wide.shows("size 100 30;")
    tiny = terminal("attach", "x", size=(2, 2))
    tiny.shows("si")
    tiny.send(b"x")
    moat.ok("wait", "--idle", "0.3", "x")
    assert moat.json("screen", "x", "--json")["columns"] == 100


def test_read_only(byte_log: Any, terminal: Any) -> None:
    """It sees everything, types nothing, sets no size, and its keys still detach it."""
    app = byte_log()
    guest = terminal("attach", "--read-only", "x", size=(50, 10))
    guest.shows("ready")
    guest.send(b"rm -rf\r")
    guest.resize(40, 8)
    app.window.send(b"mine")
    app.got(b"mine")
    guest.shows("got 6d696e65;")
    guest.send(P + b"d")
    guest.expect(rb"moat: detached")
    assert guest.wait() == 0
    assert app.typed_here() == b"mine"


def test_read_only_and_alone(moat: Any, terminal: Any) -> None:
    """Where nobody else is attached a read-only window sets no size either, and Ctrl-C no signal."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    moat.ok("run", "-id", "-t", "-n", "x", "--", "python3", "sizes.py")
    moat.ok("wait", "--text", "size", "x")
    size = moat.json("screen", "x", "--json")["columns"]
    guest = terminal("attach", "--read-only", "x", size=(101, 29))
    guest.shows(f"size {size} ")
    guest.resize(99, 27)
    guest.send(b"\x03")
    guest.expect(rb"Ctrl-C again")
    moat.ok("wait", "--idle", "0.3", "x")
    assert moat.json("screen", "x", "--json")["columns"] == size
    assert moat.inspect("x")["state"] == "running"


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b]52;c;" + base64.b64encode(b"rm -rf ~\n") + b"\x07",  # the clipboard is the user's
        b"\x1b]52;c;?\x07",
        b"\x1b[21t",  # a title read back is typed by the terminal
        b'\x1bP$q"p\x1b\\',
        b"\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[>q\x1b]11;?\x07\x1b[?u",
        b"\x1b[8;5;20t",  # the window is the user's
        b"\x1b_Gi=1,a=q;AAAA\x1b\\",
        b"\x05",  # ENQ: the answerback
    ],
)  # fmt: skip
def test_what_is_not_for_a_users_terminal(moat: Any, terminal: Any, hostile: bytes) -> None:
    """Queries are the supervisor's to answer; clipboard and window are out of reach."""
    moat.write_settings("terminal: {clipboard: drop}\n")
    (moat.workspace / "hostile").write_bytes(b"begin" + hostile + b"finish\n")
    first = terminal("run", "-i", "-n", "x", "--", "sh", "-c", "cat hostile; exec cat >/dev/null")
    first.shows("beginfinish")
    second = terminal("attach", "x")
    second.shows("beginfinish")
    assert b"beginfinish" in first.output
    for sequence in re.split(rb"(?=\x1b[^\\])", hostile):
        for window in (first, second):
            assert not sequence or sequence not in window.output


def test_a_title_with_an_end_in_it(moat: Any, terminal: Any) -> None:
    """A title goes to the windows as text; what hides in it does not."""
    (moat.workspace / "title").write_bytes(b"\x1b]2;good \x9b31m\x1b]52;c;eA==\x07 title\x07shown")
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c", "cat title; exec cat")
    moat.ok("wait", "--text", "shown", "x")
    window = terminal("attach", "x")
    window.shows("shown")
    assert b"]52" not in window.output
    assert b"\x9b" not in window.output

"""Several windows on one run, and what a hostile program sends to them."""

from __future__ import annotations

import base64
import re
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
    """The program has the size of the window that typed last; the other shows the top left of it."""
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


def test_the_leader_leaves(moat: Any, terminal: Any) -> None:
    """The one that stays shows all that it did; when it types the program is of its size."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    wide = terminal("run", "-i", "-n", "x", "--", "python3", "sizes.py", size=(100, 30))
    wide.shows("size 100 30;")
    small = terminal("attach", "x", size=(60, 15))
    small.shows("size 100 30;")
    wide.send(P + b"d")
    assert wide.wait() == 0
    small.send(b"x")
    small.shows("size 60 15;")


def test_a_tiny_window_shrinks_nobody(moat: Any, terminal: Any) -> None:
    """Two columns and a row, and it even types: the program keeps its size."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    wide = terminal("run", "-i", "-n", "x", "--", "python3", "sizes.py", size=(100, 30))
    wide.shows("size 100 30;")
    tiny = terminal("attach", "x", size=(2, 1))
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
    guest.shows("Ctrl-C again")
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

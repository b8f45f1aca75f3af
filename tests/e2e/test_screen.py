"""What an attached terminal shows: the truth, at once, as if it had never left.

Screens are compared with a window that stayed, cell for cell: with attributes, cursor, title and
modes, and after further output, which would bring every hidden difference to light.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

P = b"\x1f"

CURSES = """\
import curses
def main(screen):
    curses.start_color()
    curses.use_default_colors()
    for number in range(1, 8):
        curses.init_pair(number, number, -1)
    curses.mousemask(curses.ALL_MOUSE_EVENTS)
    curses.curs_set(0)
    print("\\033]2;a curses title\\007", end="", flush=True)
    key = 0
    while key != ord("q"):
        screen.erase()
        screen.box()
        for number in range(1, 8):
            colour = curses.color_pair(number) | curses.A_BOLD
            screen.addstr(number, 2, f"row {number} {key} ☃ 漢字 é", colour)
        screen.addstr(10, 40, "blinking", curses.A_BLINK | curses.A_REVERSE)
        screen.addstr(11, 40, "underlined", curses.A_UNDERLINE | curses.A_DIM)
        screen.move(15, 17)
        screen.refresh()
        key = screen.getch()
curses.wrapper(main)
"""

PROGRAMS: dict[str, tuple[tuple[str, ...], str, list[bytes]]] = {
    # The command, what it shows when it is ready, and keys that make it draw.
    "vim": (
        ("vim", "-u", "NONE", "-N", "-c", "set nu hls cul mouse=a title ls=2 | syntax on", "code.py"),
        "import curses",
        [b"/row\r", b":vsplit\r", b"5j", b"vjj", b"\x1bicolour \xe6\xbc\xa2\x1b"],
    ),
    "less": (("less", "-R", "-N", "code.py"), "import curses", [b"/row\r", b"3j", b"-S\r", b"h\x1b"]),
    "htop": (("htop", "-d", "100"), "Load average", [b"\x1bOB\x1bOB", b"t", b"?"]),
    "curses": (("python3", "code.py"), "row 7", [b"a", b"b"]),
}  # fmt: skip


def look(window: Any) -> dict[str, Any]:
    """Everything of a screen that can be told apart."""
    size = window.screen.size
    return {
        "rows": window.screen.rows_vt(0, size.columns, size.rows),
        **window.screen.as_json(),
    }


def assert_same(moat: Any, window: Any, stayed: Any) -> None:
    """Two windows show the same once the program is quiet; a slow one is so before it draws, too."""
    moat.ok("wait", "--idle", "0.3", "x")
    deadline = time.monotonic() + TIMEOUT_S
    while not are_the_same(moat, window, stayed) and time.monotonic() < deadline:
        pass
    assert look(window) == look(stayed)


def are_the_same(moat: Any, *windows: Any) -> bool:
    """Two windows show all that the run's screen shows."""
    said = moat.ok("screen", "x").rstrip("\n")
    for each in windows:
        each.linger(0.05)
    first, second = map(look, windows)
    return first == second and windows[0].screen.text().rstrip("\n") == said


@pytest.mark.parametrize("program", PROGRAMS)
def test_as_if_it_had_never_left(moat: Any, terminal: Any, program: str) -> None:
    """Case 13: a window that left and came back, at every step of a real program."""
    command, ready, keys = PROGRAMS[program]
    (moat.workspace / "code.py").write_text(CURSES)
    stayed = terminal("run", "-i", "-n", "x", "-e", "TERM=xterm-256color", "--", *command)
    stayed.shows(ready)
    for key in keys:
        window = terminal("attach", "x")
        window.shows("")
        assert_same(moat, window, stayed)
        window.send(P + b"d")
        assert window.wait() == 0
        stayed.send(key)
        moat.ok("wait", "--idle", "0.3", "x")
    window = terminal("attach", "x")
    assert_same(moat, window, stayed)


@pytest.mark.parametrize("program", PROGRAMS)
def test_windows_that_become_as_large(moat: Any, terminal: Any, program: str) -> None:
    """Case 13: one that looked on in another size, and one that made all others change theirs."""
    command, ready, keys = PROGRAMS[program]
    (moat.workspace / "code.py").write_text(CURSES)
    stayed = terminal("run", "-i", "-n", "x", "-e", "TERM=xterm-256color", "--", *command)
    stayed.shows(ready)
    small, large = terminal("attach", "x", size=(50, 12)), terminal("attach", "x", size=(133, 41))
    large.shows(ready)
    stayed.send(keys[0])
    for window in (small, large):
        window.resize(80, 24)
        assert_same(moat, window, stayed)
    large.resize(120, 30)
    large.send(keys[1])
    moat.ok("wait", "--idle", "0.3", "x")
    large.resize(80, 24)
    assert_same(moat, large, stayed)
    assert_same(moat, small, stayed)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 15)])
def test_a_program_that_never_draws_again(moat: Any, terminal: Any, size: tuple[int, int]) -> None:
    """Case 14: idle at a prompt and deaf to SIGWINCH: its screen is there at once, in any size."""
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c",
            "trap '' WINCH; printf '\\033[31mname? '; exec cat")  # fmt: skip
    moat.ok("wait", "--text", "name", "x")
    window = terminal("attach", "x", size=size)
    window.until(lambda: window.screen.cursor == (6, 0), "the cursor behind it")
    assert window.screen.text().rstrip() == "name?"


def test_the_alternate_screen_is_left_as_it_was_entered(moat: Any, terminal: Any) -> None:
    """Case 15: a window attached meanwhile gets the primary screen when the program leaves."""
    script = (
        "printf 'before\\n\\033[1mprompt> \\033[?1049h\\033[2J\\033[5;5Hfull screen';"
        "read line; printf '\\033[?1049lafter'; read line"
    )
    stayed = terminal("run", "-i", "-n", "x", "--", "sh", "-c", script)
    stayed.shows("full screen")
    window = terminal("attach", "x")
    window.shows("full screen")
    assert window.screen.alternate
    assert_same(moat, window, stayed)
    stayed.send(b"\r")
    text = window.shows("after")
    assert not window.screen.alternate
    assert text.startswith("before\nprompt> after")
    assert_same(moat, window, stayed)
    window.send(b"\r")
    assert window.wait() == stayed.wait() == 0
    assert not window.screen.alternate
    assert "full screen" not in window.screen.text()


MODES = {
    1: "application_cursor_keys", 1000: "mouse_buttons", 1006: "mouse_sgr", 1004: "focus_events",
    2004: "bracketed_paste",
}  # fmt: skip


def test_every_mode_is_set_again(moat: Any, terminal: Any) -> None:
    """Case 16: keys, mouse, margins, charset, colours, cursor: all there, and all work as before."""
    (moat.workspace / "modes.py").write_text(
        "import sys\n"
        "def say(text):\n"
        "    sys.stdout.write(text)\n"
        "    sys.stdout.flush()\n"
        f"for mode in {list(MODES)}:\n"
        "    say(f'\\033[?{mode}h')\n"
        # Keypad, no cursor, a bar for it, tab stops, margins, line drawing, saved cursor, colours.
        "say('\\033=\\033[?25l\\033[5 q\\033[3g\\033[1;11H\\033H\\033[>5u')\n"
        "say('\\033[5;10r\\033[7;3H\\0337\\033[10;1H\\033(0lqk\\033[1;3;38;5;208;44m')\n"
        "say('\\033]2;the title\\033\\\\')\n"
        "input()\n"
        "say('xqx\\r\\n\\tqqq\\n\\n\\n\\0338saved\\033[4hins')\n"
        "input()\n"
    )
    stayed = terminal("run", "-i", "-n", "x", "--", "python3", "modes.py")
    stayed.until(lambda: stayed.screen.title == "the title")
    window = terminal("attach", "x")
    window.until(lambda: window.screen.title == "the title")
    assert_same(moat, window, stayed)
    for name in MODES.values():
        assert window.screen.modes[name], name
    assert not window.screen.cursor_visible
    assert b"\x1b[5 q" in window.output
    for each in (stayed, window):
        each.screen.feed(b"\x1b[?u")
        assert each.screen.take_replies() == b"\x1b[?5u"
    stayed.send(b"\r")
    window.shows("ins")
    assert_same(moat, window, stayed)


def lines_of(window: Any) -> list[str]:
    return window.screen.contents().split("\n")


def test_scrollback_is_the_viewers_own(moat: Any, terminal: Any) -> None:
    """Case 17: 2,000 lines above the screen, in order, below what the window had shown before."""
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c", "seq 3000; printf '$ '; exec cat")
    moat.ok("wait", "--text", "3000", "x")
    window = terminal(
        "-c", f"seq -f 'my own %g' 40; exec {moat.command} attach x", command="/bin/bash"
    )
    # The cursor alone would do in the middle of a number, too.
    window.until(
        lambda: window.screen.cursor == (2, 23) and window.screen.text().endswith("\n$"),
        "the cursor behind the prompt",
    )
    lines = lines_of(window)
    assert lines[:40] == [f"my own {number}" for number in range(1, 41)]
    numbers = [int(line) for line in lines[40:] if line.isdigit()]
    assert numbers == list(range(numbers[0], 3001))
    assert 2000 <= 3001 - numbers[0] <= 2000 + 24
    assert lines[-1] == "$"
    window.send(b"typed")
    assert window.shows("typed").endswith("$ typed")


def test_a_short_screen_stays_short(moat: Any, terminal: Any) -> None:
    """Case 17: what the window showed is kept above, the cursor is in its row."""
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c", "seq 3; printf '$ '; exec cat")
    moat.ok("wait", "--text", "3", "x")
    window = terminal(
        "-c", f"seq -f 'my own %g' 5; exec {moat.command} attach x", command="/bin/bash"
    )
    window.until(lambda: window.screen.cursor == (2, 3), "the cursor behind the prompt")
    lines = [line for line in lines_of(window) if line]
    assert lines == [*(f"my own {number}" for number in range(1, 6)), "1", "2", "3", "$"]


@pytest.fixture
def tmux(moat: Any, terminal: Any) -> Iterator[Any]:
    """A tmux in a window: `tmux("capture-pane", ...)`; its pane runs `moat attach x`."""
    socket = f"moat-test-{uuid.uuid4().hex[:8]}"

    def command(*arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-L", socket, *arguments],
            capture_output=True, text=True, check=True, timeout=TIMEOUT_S, env=moat.environment,
        ).stdout  # fmt: skip

    def window(*pane: str) -> Any:
        return terminal("-L", socket, "-f", os.devnull, "new-session", *pane, command="tmux")

    command.window = window  # type: ignore[attr-defined]
    yield command
    subprocess.run(
        ["tmux", "-L", socket, "kill-server"], capture_output=True, timeout=TIMEOUT_S, check=False
    )


def test_nested_in_tmux(moat: Any, tmux: Any) -> None:
    """Case 17: in tmux the scrollback is the pane's, the cursor in its row, and keys arrive."""
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c", "seq 500; printf '$ '; exec cat")
    moat.ok("wait", "--text", "500", "x")
    window = tmux.window("bash", "--norc")
    window.shows("bash")
    window.send(f"{moat.command} attach x\r".encode())
    window.shows("500\n$")
    captured = tmux("capture-pane", "-p", "-S", "-").rstrip("\n").split("\n")
    numbers = [int(line) for line in captured if line.isdigit()]
    assert numbers == list(range(1, 501))
    assert captured[-1].rstrip() == "$"
    rows = len(tmux("capture-pane", "-p").rstrip("\n").split("\n"))
    assert tmux("display-message", "-p", "#{cursor_x} #{cursor_y}") == f"2 {rows - 1}\n"
    window.send(b"typed")
    window.shows("$ typed")
    window.send(P + b"d")
    window.shows("moat: detached")
    window.send(b"echo $((6 * 7))\r")
    window.shows("42")


def numbered(window: Any) -> list[str]:
    return [line for line in lines_of(window) if line[:4].isdigit()]


def test_wide_narrow_wide(moat: Any, terminal: Any) -> None:
    """Case 18: long lines, wrapped by a narrow window, are whole again in a wide one."""
    expected = [f"{number:04} " + "abcdefghij" * 15 for number in range(1, 301)]
    (moat.workspace / "lines").write_text("\n".join(expected) + "\n")
    stayed = terminal("run", "-i", "-n", "x", "--", "sh", "-c",
                      "cat lines; printf '$ '; exec cat", size=(180, 40))  # fmt: skip
    stayed.shows("$")
    for columns in (60, 180, 40, 180):
        stayed.resize(columns, 40)
        moat.ok("wait", "--idle", "0.3", "x")
        stayed.linger(0.1)
    stayed.send(P + b"d")
    assert stayed.wait() == 0
    narrow = terminal("attach", "x", size=(60, 20))
    narrow.shows("$")
    narrow.until(lambda: numbered(narrow) == expected, "all lines")
    narrow.send(P + b"d")
    assert narrow.wait() == 0
    wide = terminal("attach", "x", size=(180, 40))
    wide.shows("$")
    wide.until(lambda: numbered(wide) == expected, "all lines")

"""The user's terminal: of the right size for the program, and given back on every way out."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import COMMAND

from moat.session.terminal.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable

P = b"\x1f"
REPEAT = int(os.environ.get("MOAT_TEST_REPEAT", "3"))
"""How often a test of a race is repeated: some times here, more often in CI."""

# Everything that a program can leave on, as editors and agents do.
FULL_SCREEN = """\
import sys
print("before")
for mode in (1049, 1, 4, 5, 8, 9, 12, 45, 67, 69, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016,
             1039, 1045, 2004, 2027, 2031, 2048, 5522):
    sys.stdout.write(f"\\033[?{mode}h")
for mode in (7, 25, 1007, 1035, 1036):
    sys.stdout.write(f"\\033[?{mode}l")
sys.stdout.write("\\033=\\033[>5u\\033[>4;2m\\033[5 q\\033[4h\\033[20h\\033[?6h\\033[2;70s")
sys.stdout.write("\\033[3;9r\\033(0\\033[1;31;44m\\033]2;its title\\033\\\\\\033[5;5H")
sys.stdout.write("\\033]11;#ff0000\\033\\\\READY")
sys.stdout.flush()
sys.stdin.readline()
"""


def is_as_new(window: Any) -> None:
    """No mode is on that is off in a new terminal, nor the other way round."""
    screen = window.screen
    new = Screen(screen.size, scrollback=0)
    changed = {name for name, on in new.modes.items() if screen.modes[name] is not on}
    new.close()
    assert changed == set()
    # Kitty's keyboard flags, the cursor's shape, the attributes, the margins.
    for query, answer in (
        (b"\x1b[?u", b"\x1b[?0u"),
        (b"\x1bP$qm\x1b\\", b"\x1bP1$r0m\x1b\\"),
        (b"\x1bP$qr\x1b\\", b"\x1bP1$r1;%dr\x1b\\" % screen.size.rows),
    ):
        screen.feed(query)
        assert screen.take_replies() == answer
    assert b"\x1b]111" in window.output  # the background colour
    screen.feed(b"q")  # would be drawn as a line
    assert screen.text().rstrip().endswith("q")


@pytest.fixture
def full_screen(moat: Any, terminal: Any) -> Any:
    """A window in which a program has turned on what there is; READY, as small letters are lines."""
    (moat.workspace / "app.py").write_text(FULL_SCREEN)
    window = terminal("run", "-i", "-n", "x", "--", "python3", "app.py")
    window.shows("READY")
    return window


def detach(_moat: Any, window: Any) -> None:
    window.send(P + b"d")


def exit_app(moat: Any, _window: Any) -> None:
    moat.ok("send", "x", "-k", "Enter")


def kill_app(moat: Any, _window: Any) -> None:
    moat.ok("kill", "x")


def put_off(moat: Any, _window: Any) -> None:
    moat.ok("detach", "x")


def signalled(number: int) -> Callable[[Any, Any], None]:
    return lambda _moat, window: window.kill(number)


def kill_all(moat: Any, _window: Any) -> None:
    moat.kill("x", "supervisor", "shim")


WAYS: dict[str, tuple[Callable[[Any, Any], None], int]] = {
    "detach": (detach, 0),
    "exit": (exit_app, 0),
    "kill": (kill_app, 137),
    "put off": (put_off, 0),
    "SIGTERM": (signalled(signal.SIGTERM), 0),
    "SIGHUP": (signalled(signal.SIGHUP), 0),
    "SIGINT": (signalled(signal.SIGINT), 0),
    "all die": (kill_all, 125),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_out(moat: Any, terminal: Any, full_screen: Any, way: str) -> None:
    """Case 19: `stty` is as before, every mode is off, and what was shown before is there."""
    before = terminal("version").termios()
    leave, code = WAYS[way]
    leave(moat, full_screen)
    assert full_screen.wait() == code
    assert full_screen.termios() == before
    assert "before" in full_screen.screen.text()
    assert "READY" not in full_screen.screen.text()
    is_as_new(full_screen)


def test_the_supervisor_dies(moat: Any, terminal: Any, full_screen: Any) -> None:
    """Case 19: the view goes on with the next supervisor, and then gives everything back."""
    before = terminal("version").termios()
    full_screen.skip()
    moat.kill("x", "supervisor")
    full_screen.expect(rb"\x1b\[\?1049l")  # cleared
    full_screen.expect(rb"READY")
    full_screen.shows("READY")
    assert full_screen.screen.modes["mouse_sgr"]
    full_screen.send(P + b"d")
    assert full_screen.wait() == 0
    assert full_screen.termios() == before
    is_as_new(full_screen)


def test_suspended_and_continued(moat: Any, terminal: Any, full_screen: Any) -> None:
    """Case 19: while the client is stopped the terminal is the shell's; then the screen is back."""
    before = terminal("version").termios()
    for _ in range(2):
        full_screen.kill(signal.SIGTSTP)
        full_screen.wait_stopped()
        assert full_screen.termios() == before
        assert not full_screen.screen.alternate
        is_as_new(full_screen)
        full_screen.foreground()
        full_screen.shows("READY")
        assert full_screen.screen.alternate
        assert full_screen.screen.modes["mouse_sgr"]
    full_screen.send(P + b"d")
    assert full_screen.wait() == 0
    assert full_screen.termios() == before
    is_as_new(full_screen)


def test_a_suspended_client_is_killed(moat: Any, full_screen: Any) -> None:
    """Nobody paints into a shell's terminal, whatever became of the client."""
    full_screen.kill(signal.SIGTSTP)
    full_screen.wait_stopped()
    full_screen.kill(signal.SIGKILL)
    full_screen.foreground()
    full_screen.wait()
    full_screen.linger(0.2)
    seen = len(full_screen.output)
    moat.ok("send", "x", "-k", "Enter")
    moat.ok("wait", "x")
    full_screen.linger(0.2)
    assert b"READY" not in full_screen.output[seen:]
    is_as_new(full_screen)


def test_an_exception_in_the_client(moat: Any, terminal: Any, full_screen: Any) -> None:
    """Case 19: a run whose folder is gone under the client's feet ends it, with the terminal intact."""
    before = terminal("version").termios()
    full_screen.send(P + b"d")
    full_screen.wait()
    # By another name of its terminal, so that the client reads the keys itself.
    again = terminal("-c", f"exec {COMMAND} attach x </dev/tty", command="sh")
    again.shows("READY")
    folder = moat.home / "runs" / moat.inspect("x")["id"]
    hidden = folder.with_name("hidden")
    folder.rename(hidden)
    again.send(P + b"s")
    again.wait()
    hidden.rename(folder)
    assert again.termios() == before
    is_as_new(again)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_client(terminal: Any, full_screen: Any, number: int) -> None:
    """Case 20: soon after its death the echo is on and the modes are off."""
    before = terminal("version").termios()
    full_screen.kill(number)
    assert full_screen.wait() == -number
    full_screen.set_back_to(before)
    full_screen.shows("before")
    is_as_new(full_screen)


def test_a_killed_client_whose_terminal_has_another_owner(terminal: Any, full_screen: Any) -> None:
    """Settings that somebody made meanwhile are not undone."""
    import termios  # noqa: PLC0415

    theirs = terminal("version").termios()
    theirs[3] &= ~termios.ECHO
    full_screen.kill(signal.SIGSTOP)
    full_screen.wait_stopped()
    full_screen.set_termios(theirs)
    full_screen.kill(signal.SIGKILL)
    full_screen.foreground()
    full_screen.wait()
    full_screen.until(lambda: not full_screen.screen.alternate)
    full_screen.linger(0.1)
    assert full_screen.termios() == theirs


@pytest.mark.parametrize("way", ["detach", "SIGTERM", "SIGKILL"])
def test_left_in_a_flood_that_nobody_reads(moat: Any, terminal: Any, way: str) -> None:
    """A terminal that takes nothing now (Ctrl-S, a slow line) is given back all the same."""
    before = terminal("version").termios()
    flood = "printf '\\033[?1049h\\033[?1000h'; exec yes"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", flood)
    window.shows("y")
    moat.ok("wait", "--text", "y", "x")  # meanwhile the terminal is full
    if way == "detach":
        window.send(P + b"d")
    else:
        window.kill(signal.SIGTERM if way == "SIGTERM" else signal.SIGKILL)
    window.set_back_to(before)  # before that, the flush of a full terminal takes our writes, too
    assert window.wait() == (-signal.SIGKILL if way == "SIGKILL" else 0)
    window.until(lambda: not window.screen.alternate)
    assert not window.screen.modes["mouse_buttons"]


def test_an_end_behind_much_output(moat: Any, terminal: Any) -> None:
    """All of it is shown first, however late the terminal takes it, and then the modes are off."""
    before = terminal("version").termios()
    script = "printf '\\033[?1000h'; seq 100000; printf last; read line"
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", script)
    window.shows("1")
    moat.ok("wait", "--text", "last", "x")  # meanwhile the terminal is full
    window.send(b"\r")
    assert window.wait() == 0
    assert window.termios() == before
    assert not window.screen.modes["mouse_buttons"]
    assert "99999\n100000\nlast" in window.screen.text()


@pytest.mark.parametrize("number", range(REPEAT))
def test_the_first_frame_has_the_real_size(terminal: Any, number: int) -> None:
    """Case 21: `stty size` of a command that asks at once, in windows of many sizes."""
    columns, rows = 20 + number * 7 % 200, 5 + number * 3 % 60
    window = terminal("run", "-i", "-n", "x", "--", "stty", "size", size=(columns, rows))
    assert window.wait() == 0
    assert window.screen.text().split() == [str(rows), str(columns)]


SIZES = """\
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
while True:
    size = os.get_terminal_size()
    print(f"size {size.columns} {size.lines};", flush=True)
    signal.sigwait([signal.SIGWINCH])
"""


def test_a_storm_of_sizes(moat: Any, terminal: Any) -> None:
    """Case 22: after 500 sizes in a second the last one is the program's, and the screen is right."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    window = terminal("run", "-i", "-n", "x", "--", "python3", "sizes.py")
    window.expect(rb"size 80 24;")
    for number in range(500):
        window.resize(60 + number * 7 % 100, 10 + number * 3 % 40)
        window.linger(0.001)
    window.resize(93, 31)
    window.expect(rb"size 93 31;")
    moat.ok("wait", "--idle", "0.3", "x")
    assert moat.json("screen", "x", "--json")["columns"] == 93
    window.until(
        lambda: moat.ok("screen", "x").rstrip("\n") == window.screen.text().rstrip("\n"),
        "what the run's screen shows",
    )
    window.send(P + b"d")
    assert window.wait() == 0


def test_a_size_that_changed_while_away(moat: Any, terminal: Any) -> None:
    """A program is told of the size of the window that comes back, before a key is typed."""
    (moat.workspace / "sizes.py").write_text(SIZES)
    moat.ok("run", "-id", "-t", "-n", "x", "--", "python3", "sizes.py")
    moat.ok("wait", "--text", "size", "x")
    window = terminal("attach", "x", size=(101, 29))
    window.shows("size 101 29;")

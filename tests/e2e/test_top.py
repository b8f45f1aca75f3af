"""`moat top` in a terminal, over real runs."""

from __future__ import annotations

import signal
import termios
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Moat, Terminal

P = b"\x1f"


def start(moat: Moat, name: str, script: str) -> None:
    moat.ok("run", "-d", "-i", "-t", "-n", name, "--", "bash", "-c", script)


def test_one_attaches_from_the_table_and_comes_back(
    moat: Moat, terminal: Callable[..., Terminal]
) -> None:
    """It shows what each run waits for and its last line, and follows what others do."""
    start(moat, "one", r"echo first; printf '\a'; read line; echo second; sleep 1000")
    window = terminal("top", size=(80, 10))
    window.shows("1 waits for you")
    window.shows("attention")
    window.shows("first")
    start(moat, "two", "echo other; sleep 1000")
    window.shows("other")
    assert window.screen.text().startswith("moat: 2 runs")
    window.send(b"j\r")
    window.until(lambda: "moat: 2 runs" not in window.screen.text(), "to be attached")
    window.shows("first")
    window.send(b"go\r")
    window.shows("second")
    window.send(P + b"d")
    window.shows("moat: 2 runs")
    window.until(lambda: "attention" not in window.screen.text(), "it to wait no more")
    window.resize(40, 8)
    window.until(lambda: "LAST LINE" not in window.screen.text(), "fewer columns")
    window.send(b"q")
    assert window.wait() == 0
    assert window.screen.cursor_visible
    assert not window.screen.alternate


def test_runs_are_ended_from_the_table(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """After a question each; what has ended is shown when that is wanted."""
    for name in ("one", "two", "three"):
        start(moat, name, "sleep 1000")
    window = terminal("top", size=(120, 12))
    window.shows("moat: 3 runs")
    window.send(b"gs")
    window.shows("Stop three?")
    window.send(b"n")
    window.shows("q quit")
    window.send(b"sy")
    window.shows("three is stopped")
    window.shows("moat: 2 runs")
    window.send(b"K")
    window.shows("Kill two at once?")
    window.send(b"y")
    window.shows("two is killed")
    window.shows("moat: 1 run")
    window.send(b"a")
    window.shows("moat: 3 runs")
    window.send(b"Gd")
    window.shows("Destroy one?")
    window.send(b"y")
    window.shows("one is destroyed")
    window.shows("moat: 2 runs")
    assert sorted(each["name"] for each in moat.runs()) == ["three", "two"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(
    moat: Moat, terminal: Callable[..., Terminal], number: int
) -> None:
    """As any other way out."""
    start(moat, "one", "sleep 1000")
    window = terminal("top")
    window.shows("moat: 1 run")
    window.kill(number)
    assert window.wait() == 128 + number
    assert not window.screen.alternate
    assert window.screen.cursor_visible
    assert window.termios()[3] & termios.ECHO


def test_it_needs_a_terminal(moat: Moat) -> None:
    """Without one, it says what does."""
    done = moat("top")
    assert done.returncode == 2
    assert done.stderr == (
        "moat: moat top needs a terminal\n      Without one: moat list --watch, or --json\n"
    )

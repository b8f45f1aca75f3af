"""`moat top`: what is drawn, and what keys do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from moat.cli.cockpit.app import rows
from moat.cli.cockpit.cockpit import HELP, Cockpit, Command, keys
from moat.cli.cockpit.table import Row, draw, model_use, short_age, short_count
from moat.client.watch.glances import Glance, Snapshot
from moat.columns import width
from moat.runs.states import State
from moat.runs.store import Run
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

UP, DOWN, ENTER = b"\x1b[A", b"\x1b[B", b"\r"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def row(number: int, **changed: Any) -> Row:
    common = Row(
        id=f"id{number}",
        name=f"run-{number}",
        state="running",
        waits_for="",
        command="claude",
        net="12/3",
        tokens="1.2M $2.50",
        age="3m",
        last_line="working on it",
        ended=False,
    )
    return common._replace(**changed)


def cockpit(count: int = 3, size: tuple[int, int] = (80, 10)) -> Cockpit:
    made = Cockpit(size=size)
    made.show([row(number) for number in range(count)])
    return made


def press(shown: Cockpit, *pressed: bytes) -> Command | None:
    done = None
    for key in pressed:
        done = shown.press(key)
    return done


# --- drawing ---


@pytest.mark.parametrize("columns", [10, 30, 60, 80, 200])
@pytest.mark.parametrize("coloured", [True, False])
def test_every_line_fits_the_terminal(columns: int, *, coloured: bool) -> None:
    """Wide characters too, and whatever a run calls itself or prints."""
    hostile = "\x1b]0;x\x07\x1b[2J你好" * 30
    table = [row(1), row(2, name="n" * 100, last_line=hostile, command=hostile, waits_for="done")]
    for line in draw(table, "id1", columns, coloured=coloured):
        bare = SGR.sub("", line)
        assert bare.isprintable()
        assert width(bare) <= columns


def test_narrow_terminals_lose_columns() -> None:
    """What a run waits for stays."""
    table = [row(1, waits_for="permission")]
    wide = draw(table, "", 200, coloured=False)
    assert wide[0].split() == [
        *("NAME", "STATE", "WAITS", "FOR", "COMMAND", "NET", "TOKENS", "AGE", "LAST", "LINE")
    ]
    assert wide[1].endswith("claude   12/3  1.2M $2.50  3m   working on it")
    assert draw(table, "", 50, coloured=False)[0].split() == [
        *("NAME", "STATE", "WAITS", "FOR", "AGE", "LAST", "LINE")
    ]
    assert "permission" in draw(table, "", 30, coloured=False)[1]


def test_the_chosen_row_is_in_reverse() -> None:
    """Over the whole width; other rows have colours of their own."""
    chosen, other = draw([row(1), row(2, waits_for="error")], "id1", 80)[1:]
    assert chosen.startswith("\x1b[7mrun-1")
    assert width(SGR.sub("", chosen)) == 80
    assert "\x1b[32mrunning" in other
    assert "\x1b[1;35merror" in other


def test_all_lines_are_there_at_any_size() -> None:
    """A title, the rows around the chosen one, and a line of help."""
    shown = cockpit(50, (80, 10))
    assert len(shown.lines()) == 10
    assert shown.lines(coloured=False)[0] == "moat: 50 runs"
    press(shown, b"G")
    lines = shown.lines(coloured=False)
    assert lines[-3].startswith("run-49")
    assert lines[-1] == HELP
    press(shown, b"g")
    assert shown.lines(coloured=False)[2].startswith("run-0")
    shown.size = (20, 3)
    assert len(shown.lines()) == 3
    shown.size = (1, 1)
    assert len(shown.lines()) == 1


def test_no_runs() -> None:
    """How to begin is said, and keys do nothing."""
    shown = Cockpit()
    assert "moat run" in "\n".join(shown.lines())
    assert press(shown, DOWN, ENTER) is None
    assert press(shown, b"q") == Command("quit")


def test_who_waits_is_counted() -> None:
    """In the title."""
    shown = Cockpit()
    shown.show([row(1, waits_for="done"), row(2)])
    assert shown.lines()[0] == "moat: 2 runs, 1 waits for you"
    shown.show([row(1, waits_for="done"), row(2, waits_for="error")])
    assert shown.lines()[0] == "moat: 2 runs, 2 wait for you"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "now"), (5, "5s"), (61, "1m"), (7300, "2h"), (200_000, "2d")]
)
def test_ages_are_short(seconds: float, text: str) -> None:
    """In the largest unit."""
    assert short_age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (12_345, "12k"),
        (999_600, "1.0M"),
        (3 * 10**9, "3.0G"),
    ],
)
def test_counts_are_short(count: int, text: str) -> None:
    """Two digits are enough to see whether a run is dear."""
    assert short_count(count) == text


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ((0, 0.0, 0), ""),
        ((500, 0.004, 0), "500 $0.00"),
        ((2000, 1.5, 500), "2.0k $1.50+"),
        ((2000, 0.0, 2000), "2.0k $?"),
    ],
)
def test_what_is_not_known_of_a_cost_is_said(use: tuple[int, float, int], text: str) -> None:
    """A run whose models have no price isn't shown as one that costs nothing."""
    assert model_use(*use) == text


def test_a_run_becomes_a_row() -> None:
    """A request that waits for an answer is something to wait for; what went wrong is the last line."""
    empty: dict[str, Any] = dict.fromkeys(Run._fields)
    common: dict[str, Any] = {
        "id": "1",
        "name": "fix",
        "state": State.RUNNING,
        "command": ("/usr/bin/claude", "-p"),
        "created_at": "2026-01-01T00:00:00.000Z",
        "waiting": "a.test:443",
        "waits_for": "done",
    }
    run = Run(**(empty | common))
    now = 1_767_225_600.0 + 65
    [made] = rows(Snapshot([run], {"1": Glance("hello", 3, 1, 1_234_567, 2.5, 0)}), now)
    assert (made.waits_for, made.command, made.net, made.age) == ("network", "claude", "3/1", "1m")
    assert (made.last_line, made.tokens) == ("hello", "1.2M $2.50")
    ended = run._replace(state=State.STOPPED, exit_code=3, waiting="", error="the disk is full")
    [made] = rows(Snapshot([ended], {}), now)
    assert (made.state, made.waits_for, made.net) == ("stopped (3)", "done", "")
    assert (made.last_line, made.ended) == ("the disk is full", True)


# --- keys ---


def test_keys_choose_a_run() -> None:
    """As in a pager, and never beyond the ends."""
    shown = cockpit()
    assert shown.selected == "id0"
    press(shown, DOWN, b"j", b"j", DOWN)
    assert shown.selected == "id2"
    press(shown, b"k", UP, b"\x1bOA", UP)
    assert shown.selected == "id0"
    press(shown, b"\x1b[6~")
    assert shown.selected == "id2"
    press(shown, b"\x1b[5~")
    assert shown.selected == "id0"


def test_the_chosen_run_stays_chosen() -> None:
    """Where it is gone, the one in its place is."""
    shown = cockpit()
    press(shown, DOWN)
    shown.show([row(9), row(0), row(1), row(2)])
    assert shown.selected == "id1"
    shown.show([row(9), row(0), row(2)])
    assert shown.selected == "id2"
    shown.show([])
    shown.show([row(7)])
    assert shown.selected == "id7"


@pytest.mark.parametrize(("key", "what"), [(b"s", "stop"), (b"K", "kill"), (b"d", "destroy")])
def test_what_ends_a_run_is_asked_first(key: bytes, what: str) -> None:
    """Only y means yes, and the question is for the run that was chosen."""
    shown = cockpit()
    assert press(shown, DOWN, key) is None
    question = shown.lines(coloured=False)[-1]
    assert "run-1" in question
    assert question.endswith("[y/N]")
    shown.show([row(5), row(6)])  # the chosen one is gone meanwhile
    done = press(shown, b"y")
    assert done is not None
    assert done.run is not None
    assert (done.what, done.run.name) == (what, "run-1")
    for no in (b"n", ENTER, DOWN, b"q", b"\x1b"):
        assert press(shown, key, no) is None
        assert shown.lines(coloured=False)[-1] == HELP


def test_a_run_that_has_ended_can_only_be_destroyed() -> None:
    """Anything else says why not."""
    shown = Cockpit()
    shown.show([row(1, ended=True, state="stopped (0)")])
    assert press(shown, ENTER) is None
    assert shown.lines()[-1] == "run-1 is stopped (0)"
    assert press(shown, b"s", b"y") is None
    done = press(shown, b"d", b"y")
    assert done is not None
    assert done.what == "destroy"


def test_other_keys() -> None:
    """Enter attaches; what means nothing does nothing."""
    shown = cockpit()
    done = press(shown, ENTER)
    assert done is not None
    assert (done.what, done.run) == ("attach", shown.rows[0])
    assert press(shown, b"\x0c") == Command("repaint")
    assert press(shown, b"a") == Command("all")
    for nothing in (b"x", b"\x1b", b"\x1b[200~", b"\xc3"):
        assert press(shown, nothing) is None


def test_what_is_typed_is_split_into_keys() -> None:
    """Sequences stay whole."""
    assert keys(b"j\x1b[A\x1bOB\x1b[6~q\x1b") == [
        *(b"j", b"\x1b[A", b"\x1bOB", b"\x1b[6~", b"q", b"\x1b")
    ]


def test_what_is_painted_is_what_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """Only changed lines are written, and the terminal is given back."""
    from moat.cli.cockpit.terminal import Painter  # noqa: PLC0415  its only test

    screen = Screen(TerminalSize(20, 3), scrollback=10)
    screen.feed(b"before")
    painter = Painter(1)
    painter.enter()
    painter.paint(["one", "two", "three"])
    screen.feed(capfd.readouterr().out.encode())
    assert screen.text().split() == ["one", "two", "three"]
    assert not screen.cursor_visible
    painter.paint(["one", "2", "three"])
    written = capfd.readouterr().out
    assert "three" not in written
    screen.feed(written.encode())
    assert screen.text().split() == ["one", "2", "three"]
    painter.paint(["one", "2", "three"])
    assert capfd.readouterr().out == ""
    painter.leave()
    painter.leave()
    screen.feed(capfd.readouterr().out.encode())
    assert screen.text().split() == ["before"]
    assert screen.cursor_visible
    screen.close()

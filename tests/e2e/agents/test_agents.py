"""Real agents in runs: whole turns, and what happens to their users in the middle of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.agents.conftest import TURN_S

if TYPE_CHECKING:
    from tests.e2e.agents.conftest import Agent
    from tests.e2e.conftest import Moat, Terminal
    from tests.model_server import ModelServer

pytestmark = pytest.mark.timeout(5 * TURN_S)
P = b"\x1f"
TURN = "RUN:echo made-$((6*7)) | tee made.txt"


def look(window: Terminal) -> dict[str, Any]:
    """Everything of a screen that can be told apart."""
    size = window.screen.size
    rows = window.screen.rows_vt(0, size.columns, size.rows)
    return {"rows": rows, **window.screen.as_json()}


def rows_of(text: str) -> list[str]:
    return [row.rstrip() for row in text.rstrip().split("\n")]


def settled(moat: Moat, *windows: Terminal) -> None:
    """Wait until the windows show what the run does, the same in all of them."""
    moat.ok("wait", "--idle", "0.3", "x")
    deadline = time.monotonic() + TURN_S
    while not show_the_same(moat.ok("screen", "x").rstrip(), *windows):
        assert time.monotonic() < deadline, "a window shows something else"


def show_the_same(said: str, *windows: Terminal) -> bool:
    for window in windows:
        window.linger(0.05)  # what changes colours alone comes behind the text
    looks = list(map(look, windows))
    return all(each == looks[0] for each in looks) and all(
        window.screen.text().rstrip() == said for window in windows
    )


def freeze(agent: Agent, *windows: Terminal) -> None:
    """Stop all processes of the sandbox, for agents draw all the time, and wait for the windows."""
    agent.moat.ok("exec", "x", "--", "bash", "-c", "kill -STOP -1")
    settled(agent.moat, *windows)


def thaw(agent: Agent) -> None:
    agent.moat.ok("exec", "x", "--", "bash", "-c", "kill -CONT -1")


def test_a_turn_in_print_mode(agent: Agent, model: ModelServer) -> None:
    """A prompt, a command in the sandbox, and the answer on standard output, with exit code 0."""
    done = agent.ask(TURN)
    assert (done.returncode, "The tool said: " in done.stdout) == (0, True), done.stderr
    assert "made-42" in done.stdout
    assert (agent.moat.workspace / "made.txt").read_text() == "made-42\n"
    assert any("RUN:" in prompt for prompt in model.prompts)


def test_a_turn_in_its_interface(agent: Agent) -> None:
    """The same typed at its prompt; it ends by its own command, and the terminal is the user's again."""
    window = agent.open()
    agent.type(window, TURN)
    window.shows("The tool said: ", TURN_S)
    assert (agent.moat.workspace / "made.txt").read_text() == "made-42\n"
    agent.type(window, agent.leave)
    assert window.wait(TURN_S) == 0
    assert window.screen.cursor_visible
    assert not window.screen.alternate
    assert not any(window.screen.modes[name] for name in ("bracketed_paste", "mouse_buttons"))


@pytest.mark.parametrize("inline", [False, True], ids=["alternate", "main"])
def test_detached_in_the_middle_of_an_answer(
    agent: Agent, model: ModelServer, *, inline: bool
) -> None:
    """A window that comes back shows, cell by cell, what one shows that has stayed."""
    stayed = agent.open(inline=inline)
    agent.type(stayed, "STREAM please")
    assert model.halfway.wait(TURN_S)
    stayed.shows("word20", TURN_S)
    left = agent.attach()
    left.shows("word20")
    left.send(P + b"d")
    assert left.wait() == 0
    freeze(agent, stayed)
    back = agent.attach()
    settled(agent.moat, back)
    assert look(back) == look(stayed)
    thaw(agent)
    model.proceed.set()
    for window in (stayed, back):
        window.shows("word59", TURN_S)
    freeze(agent, stayed, back)
    assert look(back) == look(stayed)
    thaw(agent)


def test_the_supervisor_is_killed_in_the_middle_of_an_answer(
    agent: Agent, model: ModelServer
) -> None:
    """The agent lives, its window shows the same, and it gets its answer by asking again."""
    window = agent.open()
    agent.type(window, "STREAM please")
    assert model.halfway.wait(TURN_S)
    window.shows("word20", TURN_S)
    pid = agent.moat.inspect("x")["pid"]
    freeze(agent, window)
    before = look(window)
    agent.moat.kill("x", "supervisor")
    settled(agent.moat, window)
    assert look(window) == before
    model.proceed.set()
    thaw(agent)
    window.shows("word59", TURN_S)
    assert agent.moat.inspect("x")["pid"] == pid


def test_the_line_of_a_detach_is_below_the_interface(agent: Agent) -> None:
    """On the main screen it overwrites nothing, and no empty rows come before it."""
    window = agent.open(inline=True)
    assert not window.screen.alternate
    freeze(agent, window)
    rows = rows_of(window.screen.text())
    window.send(P + b"d")
    assert window.wait() == 0
    after = rows_of(window.screen.contents())
    [line] = [number for number, row in enumerate(after) if row.startswith("moat: detached")]
    assert after[line - len(rows) : line] == rows
    thaw(agent)


def test_a_smaller_viewer_sees_the_prompt(agent: Agent) -> None:
    """It follows the cursor of a program that is larger, and doesn't change the program's size."""
    large = agent.open()
    small = agent.window("attach", "--read-only", "x", size=(60, 8))
    large.send(b"seen by both")
    for window in (large, small):
        window.shows("seen by both")
    assert agent.moat.json("screen", "x", "--json")["columns"] == 100

"""Agents beside the three of `test_at_home`: a turn with a tool, and one that goes on, in print mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.agents.at_home import TURN_S

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.e2e.agents.at_home import AtHome
    from tests.e2e.conftest import Terminal

QUESTIONS = ("trust", "theme", "Sign in", "update available", "API key")
pytestmark = pytest.mark.timeout(3 * TURN_S)


def ask(agent: AtHome, run: str, prompt: str, *options: str) -> CompletedProcess[str]:
    words = (agent.kind.name, "-n", run, *agent.kind.options, *options, "-p", prompt)
    return agent.moat(*words, cwd=agent.project, timeout=TURN_S)


def waits_for(agent: AtHome, window: Terminal, kind: str) -> None:
    """Return once Moat says that the agent waits for this."""
    window.until(lambda: agent.moat.inspect("one")["waits_for"] == kind, kind, TURN_S)


def test_a_turn_with_a_tool_and_one_that_goes_on(other: AtHome) -> None:
    """The command runs in the sandbox, without a question; the next run knows the session.

    The model's server gets the real key, and what the agent keeps has none.
    """
    done = ask(
        other, "one", "RUN:git commit --allow-empty -qm by-agent && git log -1 --format=%an/%s"
    )
    assert (done.returncode, "Somebody/by-agent" in done.stdout) == (0, True), (
        done.stdout + done.stderr
    )
    assert any(other.secret in str(fields) for _, _, fields in other.model.requests)
    assert "made by Moat for the run `one`" in "".join(other.model.instructions)

    other.model.instructions.clear()
    again = ask(other, "two", "RUN:echo again-$HOME", "--continue")
    assert (again.returncode, "again-/home/agent" in again.stdout) == (0, True), again.stderr
    assert "by-agent" in "".join(other.model.instructions)
    for path in other.state().rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert other.secret.encode() not in path.read_bytes(), path


def test_its_interface(other: AtHome) -> None:
    """It begins without a question, and Moat knows when it waits for its user."""
    window = other.open("one")
    assert not [each for each in QUESTIONS if each in window.screen.text()]
    waits_for(other, window, "done")
    other.turn(window, "RUN:echo said-$HOME", "said-/home/agent")
    waits_for(other, window, "done")


@pytest.mark.parametrize("other", ["copilot"], indirect=True)
def test_copilot_asks_and_is_refused(other: AtHome) -> None:
    """With --ask it wants leave, and it says that its model has refused."""
    window = other.open("one", "--ask")
    other.turn(window, "RUN:touch made.txt", "Do you want to run this command?")
    waits_for(other, window, "permission")
    window.send(b"\r")
    window.shows("All done.", TURN_S)
    other.turn(window, "REFUSED please", "the model refuses this")
    waits_for(other, window, "error")


def test_aider_edits_and_goes_on(aider: AtHome) -> None:
    """It writes a file and commits it, with the user's name; the next run knows the conversation."""
    done = ask(aider, "one", "WRITE made.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (aider.project / "made.txt").read_text() == "made-42\n", done.stdout + done.stderr
    log = ["git", "log", "-1", "--format=%an", "made.txt"]
    assert aider.moat.ok("run", "--", *log, cwd=aider.project).startswith("Somebody")
    assert any(aider.secret in str(fields) for _, _, fields in aider.model.requests)
    assert "made by Moat for the run `one`" in "".join(aider.model.instructions)

    aider.model.instructions.clear()
    again = ask(aider, "two", "Hello again", "--continue")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "WRITE made.txt" in "".join(aider.model.instructions)

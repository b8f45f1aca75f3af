"""Agents at home: `moat claude` in a new store, its files, and what the next run finds of them.

The agents talk to a stand-in for their models under the real names of their hosts, with the credential
that the proxy puts into their requests.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.agents.at_home import TURN_S

if TYPE_CHECKING:
    from tests.e2e.agents.at_home import AtHome

pytestmark = pytest.mark.timeout(5 * TURN_S)
P = b"\x1f"
COMMIT = "RUN:git commit --allow-empty -qm by-agent && git log -1 --format=%an/%s && pwd"
DONE = "Somebody/by-agent"
QUESTIONS = ("trust", "theme", "Sign in", "update available", "Do you want", "API key")
"""Words of screens that nobody wants to see."""


def test_a_session_begins_without_questions_and_goes_on_in_a_new_run(at_home: AtHome) -> None:
    """A fresh store: a turn with a commit, detached, and continued by a run that knows the session."""
    window = at_home.open("one")
    shown = window.screen.text()
    assert not [each for each in QUESTIONS if each in shown]
    at_home.turn(window, COMMIT, DONE)
    window.send(P + b"d")
    assert window.wait() == 0
    assert at_home.moat.inspect("one")["state"] == "running"
    log = subprocess.run(
        ["git", "log", "-1", "--format=%an/%s"],
        cwd=at_home.project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert log.stdout.strip() == DONE
    at_home.moat.ok("stop", "one", timeout=TURN_S)

    again = at_home.open("two", "--continue")
    again.shows("by-agent", TURN_S)
    at_home.turn(again, "RUN:echo again-$HOME", "again-/home/agent")


def test_the_key_stays_outside_and_the_guide_is_read(at_home: AtHome) -> None:
    """The model's server gets the real key and the rules of the sandbox; the state has neither."""
    done = at_home.moat(
        *(
            at_home.kind.name,
            "-p",
            COMMIT,
            "-n",
            "one",
            "--deny",
            "denied.example",
            *at_home.kind.words,
        ),
        cwd=at_home.project,
        timeout=TURN_S,
    )
    assert (done.returncode, DONE in done.stdout) == (0, True), done.stderr
    assert any(at_home.secret in str(fields) for _, _, fields in at_home.model.requests)
    told = "".join(at_home.model.instructions)
    assert at_home.secret not in told
    assert "made by Moat for the run `one`" in told
    assert "deny denied.example" in told
    state = at_home.state()
    assert list(state.glob(at_home.kind.begun))
    for path in state.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert at_home.secret.encode() not in path.read_bytes(), path
    for path in at_home.moat.json("agents", "info", at_home.kind.name, "--json")["credentials"]:
        assert not (state / path).is_file()


def test_two_runs_of_one_project_at_once(at_home: AtHome) -> None:
    """Both start, and both do their turn; they share what lasts and have logins of their own."""
    first = at_home.open("one")
    second = at_home.open("two")
    at_home.turn(first, "RUN:echo first-$HOME", "first-/home")
    at_home.turn(second, "RUN:echo second-$HOME", "second-/home")

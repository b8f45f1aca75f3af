"""Real agents that wait for their user, and for what."""

from __future__ import annotations

import json
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from tests.e2e.agents.at_home import TURN_S

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.e2e.agents.at_home import AtHome
    from tests.e2e.conftest import Terminal

pytestmark = pytest.mark.timeout(8 * TURN_S)
_ENTER_S: Final = 5.0


@dataclass
class Told:
    """What `moat events -f` says of an agent that waits."""

    window: Terminal
    follower: subprocess.Popen[bytes]

    def until(self, kind: str) -> None:
        """Return once the agent waits for this; what it waited for before is passed over."""
        deadline = time.monotonic() + TURN_S
        while self.more(deadline - time.monotonic()):
            assert self.follower.stdout is not None
            if json.loads(self.follower.stdout.readline())["waits_for"] == kind:
                return
        pytest.fail(f"it doesn't wait for {kind}:\n{self.window.screen.text()}")

    def more(self, seconds: float) -> bool:
        """Return whether there is an event within so many seconds; the window is read meanwhile."""
        assert self.follower.stdout is not None
        deadline = time.monotonic() + seconds
        while not select.select([self.follower.stdout], [], [], 0)[0]:
            if time.monotonic() > deadline:
                return False
            self.window.linger(0.2)
        return True

    def prompt(self, text: str, kind: str) -> None:
        """Type a prompt, and wait until the agent waits for this."""
        self.window.send(text.encode())
        for _ in range(10):  # Gemini CLI takes an Enter that comes with other keys for a new line
            self.window.linger(1)
            self.window.send(b"\r")
            if self.more(_ENTER_S):
                break
        self.until(kind)


@pytest.fixture
def begin(at_home: AtHome) -> Iterator[Callable[..., Told]]:
    """Start the agent, which waits for its first prompt."""
    followers: list[subprocess.Popen[bytes]] = []

    def begin(*options: str) -> Told:
        words = (at_home.kind.name, "-n", "one", *options, *at_home.kind.words)
        window = at_home.window(*words, size=(100, 40), cwd=at_home.project)
        window.until(lambda: len(at_home.moat.runs()) == 1, "the run", TURN_S)
        # Unbuffered, for `select` sees the pipe alone.
        follow = ("events", "one", "-f", "--json", "--event", "waiting_changed")
        followers.append(at_home.moat.start(*follow, bufsize=0))
        told = Told(window, followers[-1])
        told.until("done")
        return told

    yield begin
    for follower in followers:
        follower.kill()
        follower.communicate()


def test_an_error_and_a_turn_that_is_done(at_home: AtHome, begin: Callable[..., Told]) -> None:
    """It says so when its model refuses, to the next supervisor as well."""
    told = begin()
    told.prompt("REFUSED please", "error")
    at_home.moat.kill("one", "supervisor")
    assert at_home.moat.ok("wait", "one", "--for", "input") == "error\n"
    told.prompt("RECOVER and RUN:echo hello", "done")


# Codex decides when it asks, and has no tool for questions here.
@pytest.mark.parametrize("at_home", ["claude", "gemini"], indirect=True)
def test_it_wants_leave(at_home: AtHome, begin: Callable[..., Told]) -> None:
    """The next supervisor knows, too; once it has leave, it works and is done."""
    told = begin("--ask")
    told.prompt("RUN:touch made.txt", "permission")
    at_home.moat.kill("one", "supervisor")
    assert at_home.moat.ok("wait", "one", "--for", "input") == "permission\n"
    told.window.linger(1)
    told.window.send(b"\r")
    told.until("done")


@pytest.mark.parametrize("at_home", ["claude", "gemini"], indirect=True)
def test_it_has_a_question(begin: Callable[..., Told]) -> None:
    """That is another thing than leave to act."""
    begin().prompt("ASK me", "question")

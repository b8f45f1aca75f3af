"""Further commands of a run: listed, attached, logged, replayed and waited for as the run itself is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import ON_EVERY_ENGINE, TIMEOUT_S

pytestmark = ON_EVERY_ENGINE

if TYPE_CHECKING:
    from tests.e2e.conftest import Moat

P = b"\x1f"
SHELL = ("sh", "-c", "printf 'name? '; read name; echo hello $name; read line; exit 5")


@pytest.fixture
def run(moat: Moat) -> Moat:
    """A run `x` that does nothing by itself."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    return moat


def test_a_detached_exec_is_attached_again(run: Moat, terminal: Any) -> None:
    """Case 47: its last line says how, it is listed, and the screen and the exit code are its own."""
    window = terminal("exec", "-it", "x", "--", *SHELL)
    window.shows("name?")
    window.send(P + b"d")
    window.expect(rb"moat: detached; the command goes on. Come back: moat attach x/exec-1")
    assert window.wait() == 0
    assert "x/exec-1" in run.ok("list", "--sessions")
    assert "x/exec-1" not in run.ok("list")
    window = terminal("attach", "x/exec-1")
    window.shows("name?")
    window.send(b"moat\r")
    window.shows("hello moat")
    window.send(b"\r")
    assert window.wait() == 5
    assert run.inspect("x")["state"] == "running"
    assert "x/exec-1" not in run.ok("list", "--sessions")


def test_every_command_takes_a_session(run: Moat) -> None:
    """`RUN/SESSION` and `--session` are the same words for all of them."""
    assert run.ok("exec", "-itd", "x", "--", *SHELL) == "exec-1\n"
    run.ok("wait", "--text", "name", "x/exec-1")
    run.ok("send", "x/exec-1", "moat", "-k", "Enter")
    run.ok("wait", "--text", "hello moat", "x", "--session", "exec-1")
    run.ok("wait", "--idle", "0.1", "x/exec-1")
    assert "hello moat" in run.ok("screen", "x/exec-1")
    assert run.json("screen", "x/exec-1", "--json")["columns"] == 80
    assert run("screen", "x").returncode == 2  # the run has none
    assert run.ok("detach", "x/exec-1") == "0 detached\n"
    run.ok("send", "x", "--session", "exec-1", "-k", "Enter")
    assert run.ok("wait", "x/exec-1") == "5\n"
    assert "hello moat" in run.ok("logs", "x/exec-1")
    assert run.ok("logs", "x") == ""
    assert "hello moat" in run.ok("replay", "--speed", "0", "x/exec-1")
    assert '"title": "x/exec-1"' in run.ok("replay", "--cast", "x/exec-1")
    assert "hello moat" in run.ok("screen", "x/exec-1")
    session = run.inspect("x")["sessions"]["exec-1"]
    assert (session["state"], session["exit_code"], session["command"][0]) == ("stopped", 5, "sh")
    (listed,) = run.json("list", "--sessions", "--json")
    assert [each["reference"] for each in listed["sessions"]] == ["x", "x/exec-1"]


def test_a_session_is_known_when_its_run_has_ended(run: Moat, terminal: Any) -> None:
    """Its output, its screen and its exit code stay as long as the run does."""
    run.ok("exec", "-td", "x", "--", "sh", "-c", "echo built; exit 7")
    assert run.ok("wait", "x/exec-1") == "7\n"
    run.ok("kill", "x")
    assert run.ok("wait", "x/exec-1") == "7\n"
    assert run.ok("logs", "x/exec-1") == "built\r\n"
    window = terminal("attach", "x/exec-1")
    window.shows("built")
    assert window.wait() == 7
    assert "stopped (7)" in run.ok("list", "-a", "--sessions")


def test_following_a_session_ends_with_it(run: Moat) -> None:
    """`logs -f` goes on with the output of an exec, and ends when that does; the run goes on."""
    run.ok("exec", "-id", "x", "--", "sh", "-c", "read line; echo got $line")
    following = run.start("logs", "-f", "x/exec-1")
    run.ok("send", "x/exec-1", "this", "-k", "C-j")
    out, _ = following.communicate(timeout=TIMEOUT_S)
    assert (out, following.returncode) == (b"got this\n", 0)
    assert run.ok("logs", "-f", "x/exec-1") == "got this\n"


def test_a_session_is_killed_and_signalled_alone(run: Moat) -> None:
    """The run and its other sessions go on."""
    for _ in range(2):
        run.ok("exec", "-d", "x", "--", "sleep", "1000")
    assert run.ok("kill", "x/exec-1") == "x/exec-1\n"
    assert run.ok("wait", "x/exec-1") == "137\n"
    run.ok("kill", "-s", "TERM", "x/exec-2")
    assert run.ok("wait", "x/exec-2") == "143\n"
    assert run.inspect("x")["state"] == "running"


def test_a_session_outlives_the_supervisor(run: Moat, terminal: Any) -> None:
    """It is adopted with its screen, and so is what it may be typed."""
    run.ok("exec", "-itd", "x", "--", *SHELL)
    run.ok("wait", "--text", "name", "x/exec-1")
    run.kill("x", "supervisor")
    window = terminal("attach", "x/exec-1")
    window.shows("name?")
    window.send(b"again\r")
    window.shows("hello again")


def test_a_session_that_is_not_there(run: Moat) -> None:
    """Each command says so, at once."""
    for words in (["attach"], ["logs"], ["replay"], ["screen"], ["wait"], ["send"]):
        more = ["text"] if words == ["send"] else []
        done = run(*words, "x/exec-9", *more)
        assert done.returncode != 0
        assert "session" in done.stderr
    assert run("attach", "x/exec-1", "--session", "exec-2").returncode == 2

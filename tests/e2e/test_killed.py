"""SIGKILL for everything that belongs to a run but its command, at every moment of its life."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.followers import changes

from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

DYING = Path(__file__).with_name("dying_supervisor.py")

Dying = Any
"""`dying(moment, *arguments)`: `moat` whose first supervisor dies then."""


@pytest.fixture
def dying(moat: Any, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    marker = tmp_path / "died"

    def run(moment: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        marker.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, DYING, moment, marker, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=moat.workspace,
            env=moat.environment | environment,
            check=False,
        )
        assert marker.exists(), f"no supervisor died {moment}: {done}"
        return done

    return run


START_TO_END = [
    f"{when} {what}"
    for what in ("hello", "launch", "release")
    for when in ("before", "during", "after")
] + [
    f"{when} {what}"
    for what in ("start_requested", "command_started", "command_exited")
    for when in ("before", "after")
]


@pytest.mark.parametrize("moment", START_TO_END)
def test_a_run_goes_through_a_killed_supervisor(moat: Any, dying: Dying, moment: str) -> None:
    """Whenever it dies: one start, all output once, the exit code, and nothing left behind."""
    script = "echo one; echo two >&2; echo three; exit 7"
    done = dying(moment, "run", "-n", "x", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (7, "one\nthree\n", "two\n")
    logs = moat("logs", "x")
    assert (logs.stdout, logs.stderr) == ("one\nthree\n", "two\n")
    run = moat.inspect("x")
    assert (run["state"], run["exit_code"]) == ("stopped", 7)


@pytest.mark.parametrize(
    "moment", [each for each in START_TO_END if not each.endswith(("release", "command_exited"))]
)
def test_a_run_in_the_background_goes_through_it_too(moat: Any, dying: Dying, moment: str) -> None:
    """`run -d` returns when the command has begun, and `wait` gives its exit code."""
    done = dying(moment, "run", "-d", "-n", "x", "--", "sh", "-c", "echo one; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")
    assert moat.ok("wait", "x") == "7\n"
    assert moat.ok("logs", "x") == "one\n"


@pytest.mark.parametrize("command", ["stop", "kill"])
@pytest.mark.parametrize("moment", ["before stop_requested", "after stop_requested"])
def test_a_stop_survives_the_supervisor_that_was_asked(
    moat: Any, dying: Dying, moment: str, command: str
) -> None:
    """A stop that was begun is carried out by the next supervisor; else the run is as before."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    moat.kill("x", "supervisor")
    done = dying(moment, command, "x")
    if moment.startswith("before"):
        assert moat.inspect("x")["state"] == "running"
        assert done.returncode == 125
        assert "Try again" in done.stderr
        moat.ok(command, "x")
    code = 143 if moment.startswith("after") or command == "stop" else 137
    assert moat.ok("wait", "x") == f"{code}\n"


@pytest.mark.parametrize("moment", ["before signal", "during signal", "after signal"])
def test_a_signal_on_its_way(moat: Any, dying: Dying, moment: str) -> None:
    """The signal of a stop reaches the command, whoever dies over it."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    moat.kill("x", "supervisor")
    dying(moment, "stop", "x")
    assert moat.ok("wait", "x") == "143\n"


@pytest.mark.parametrize("moment", ["before sandbox_vanished", "after sandbox_vanished"])
def test_a_lost_run_is_found_lost_once(moat: Any, dying: Dying, moment: str) -> None:
    """With shim and supervisor dead the next one finds out, or the one after it."""
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", "echo here; sleep 1000")
    moat.ok("wait", "--text", "here", "x")
    moat.kill("x", "supervisor", "shim")
    done = dying(moment, "attach", "x")
    assert done.returncode == 125
    assert done.stdout == "here\n"
    assert "x is lost" in done.stderr
    assert moat.inspect("x")["state"] == "lost"


@pytest.mark.parametrize("moment", ["before start_failed", "after start_failed"])
def test_a_failed_start_is_said_whoever_dies_over_it(moat: Any, dying: Dying, moment: str) -> None:
    """Why it could not start reaches the user from the next supervisor, or from the index."""
    moat.ok("list")
    (moat.home / "config.yaml").write_text("programs: {bwrap: /nowhere/bwrap}\n")
    done = dying(moment, "run", "-n", "x", "--", "true")
    assert done.returncode == 125
    assert "there is no /nowhere/bwrap" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [(), ("-i",)])
def test_exec_goes_through_a_killed_supervisor(moat: Any, options: tuple[str, ...]) -> None:
    """Its client waits until the next supervisor has taken over all sessions, not the first alone."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    os.mkfifo(moat.workspace / "go")
    for number in range(3):
        script = "echo one; read line < go; echo two; exit 7"
        with moat.start("exec", *options, "x", "--", "sh", "-c", script) as client:
            assert client.stdout.readline() == b"one\n"
            moat.kill("x", "supervisor")
            (moat.workspace / "go").write_text("\n")
            out, err = client.communicate(timeout=TIMEOUT_S)
        assert (out, err, client.returncode) == (b"two\n", b"", 7), number


@pytest.mark.parametrize("moment", ["before forget", "during forget", "after forget"])
def test_the_end_of_an_exec_is_not_lost(moat: Any, dying: Dying, moment: str) -> None:
    """Also when the supervisor dies over telling it: output and exit code are on disk."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    moat.kill("x", "supervisor")
    done = dying(moment, "exec", "x", "--", "sh", "-c", "echo one; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "one\n", "")


def test_a_screen_is_shown_by_a_supervisor_that_takes_over(moat: Any) -> None:
    """It is asked before it has the session."""
    moat.ok("run", "-d", "-t", "-n", "x", "--", "sh", "-c", "echo here; sleep 1000")
    moat.ok("wait", "--text", "here", "x")
    moat.kill("x", "supervisor")
    assert "here" in moat.ok("screen", "x")


def test_a_watched_list_gives_a_run_the_next_supervisor(moat: Any) -> None:
    """Nobody else asks for anything: the death itself is what wakes `moat list --watch`."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity")
    killed = moat.supervisor("x")
    with Store(moat.home) as store, moat.start("list", "--watch") as watching:
        while not watching.stdout.readline().startswith(b"x "):
            pass
        moat.kill("x", "supervisor")
        for _ in changes(moat.home):
            if store.find("x").supervisor_pid != killed:
                break
        watching.kill()
        watching.communicate()
    assert moat.inspect("x")["state"] == "running"

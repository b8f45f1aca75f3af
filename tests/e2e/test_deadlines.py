"""No command waits for ever: whatever is stopped or full, it says so, and what helps."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat

P = b"\x1f"


@pytest.fixture
def stuck(moat: Moat) -> Iterator[int]:
    """The stopped supervisor of a run `x`, for which nobody waits long any more."""
    moat.ok("run", "-itd", "-n", "x", "--", "cat")
    supervisor = moat.supervisor("x")
    os.kill(supervisor, signal.SIGSTOP)
    moat.write_settings("answer_timeout: 1\n")
    yield supervisor
    with suppress(ProcessLookupError):  # the test may have replaced it
        os.kill(supervisor, signal.SIGCONT)


@pytest.mark.parametrize(
    "words",
    [
        *(["attach", "x"], ["send", "x", "a"], ["wait", "x"], ["wait", "--idle", "1", "x"]),
        *(["wait", "--text", "a", "x"], ["screen", "x"], ["detach", "x"], ["stop", "x"]),
        *(
            ["kill", "x"],
            ["kill", "-s", "INT", "x"],
            ["exec", "x", "--", "true"],
            ["allow", "x", "a.b"],
        ),
        ["policy", "show", "x"],
    ],
    ids=" ".join,
)
def test_a_stopped_supervisor_is_named(moat: Moat, stuck: int, words: list[str]) -> None:
    """Case 50: every command gives up, says which process is stopped, and what helps."""
    done = moat(*words)
    assert done.returncode == 125, done.stdout
    assert f"process {stuck} is stopped" in done.stderr
    assert "moat kill --force" in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 100


def test_what_needs_no_supervisor_goes_on(moat: Moat, stuck: int) -> None:
    """Lists, logs and details come from the store; the details say that nobody answers."""
    assert "running" in moat.ok("list")
    moat.ok("logs", "x")
    assert f"process {stuck} is stopped" in moat.inspect("x")["error"]


def test_more_clients_than_a_stopped_supervisor_has_room_for(moat: Moat, stuck: int) -> None:
    """Not even connecting waits for ever, when the queue of its socket is full."""
    del stuck
    path = next((moat.home / "runs").glob("*/supervisor.sock"))
    waiting: list[socket.socket] = []
    with suppress(BlockingIOError):
        while len(waiting) < 1000:
            each = socket.socket(socket.AF_UNIX)
            each.setblocking(False)
            waiting.append(each)
            each.connect(str(path))
    assert 100 < len(waiting) < 1000
    assert "is stopped" in moat("screen", "x").stderr
    for each in waiting:
        each.close()


def test_a_run_is_killed_by_force(moat: Moat, stuck: int) -> None:
    """The supervisor is replaced, and the next one ends the run and knows its exit code."""
    moat.write_settings("")  # those who use force don't wait for it anyway
    assert moat.ok("kill", "--force", "x") == "x\n"
    found = moat.inspect("x")
    assert (found["state"], found["exit_code"]) == ("stopped", 137)
    assert found["supervisor"]["pid"] != stuck


def test_a_run_whose_shim_is_stopped_too_is_killed_by_force(moat: Moat, stuck: int) -> None:
    """Its sandbox is killed without them, and what is left of the run is listed."""
    shim = moat.inspect("x")["shim"]["pid"]
    os.kill(shim, signal.SIGSTOP)
    assert moat.ok("kill", "--force", "x") == "x\n"
    assert moat.runs()[0]["state"] in {"lost", "stopped"}
    del stuck


def test_a_run_is_destroyed_by_force(moat: Moat, stuck: int) -> None:
    """`destroy -f` needs no second command."""
    del stuck
    assert moat.ok("destroy", "-f", "x") == "x\n"
    assert moat.runs() == []


def test_the_supervisor_may_be_replaced_without_ending_the_run(moat: Moat, stuck: int) -> None:
    """As the hint says: the next command starts another one, and the run goes on."""
    os.kill(stuck, signal.SIGKILL)
    moat.write_settings("")
    moat.ok("send", "x", "still here", "-k", "Enter")
    moat.ok("wait", "--text", "still here", "x")


def test_a_supervisor_that_goes_on_has_lost_nothing(moat: Moat, stuck: int) -> None:
    """What gave up meanwhile has done no harm."""
    assert moat("screen", "x").returncode == 125
    os.kill(stuck, signal.SIGCONT)
    moat.write_settings("")
    moat.ok("send", "x", "still here", "-k", "Enter")
    moat.ok("wait", "--text", "still here", "x")


def test_a_program_that_reads_no_input(moat: Moat) -> None:
    """`send` says how much was taken; the program is not held up, and neither is the next command."""
    moat.ok("run", "-id", "-n", "x", "--", "sleep", "1000")
    done = moat("send", "x", "a" * 100_000)
    assert done.returncode == 125
    assert "reads no input" in done.stderr
    assert "bytes" in done.stderr
    moat.ok("kill", "x")


def test_a_stopped_client_keeps_nobody(moat: Moat, terminal: Any) -> None:
    """Case 49: its window shows nothing any more; detach, stop and destroy don't wait for it."""
    window = terminal("run", "-i", "-n", "x", "--", "sh", "-c", "yes | head -c 3000000; cat")
    window.expect(rb"y")
    window.kill(signal.SIGSTOP)
    window.wait_stopped()
    moat.ok("detach", "x")
    window.foreground()
    assert window.wait() == 0
    window = terminal("attach", "x")
    window.expect(rb"y")
    window.kill(signal.SIGSTOP)
    window.wait_stopped()
    moat.ok("stop", "x")
    moat.ok("destroy", "x")


def test_a_full_pipe_keeps_nobody(moat: Moat) -> None:
    """A reader that stopped reading holds its own client, and not the end of the run or its removal."""
    moat.ok("run", "-id", "-t", "-n", "x", "--", "sh", "-c", "yes | head -c 5000000; cat")
    watching = moat.start("attach", "x")
    assert watching.stdout is not None
    watching.stdout.read(10)
    moat.ok("kill", "x")
    moat.ok("destroy", "x")
    watching.kill()
    watching.communicate()

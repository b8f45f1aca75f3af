"""A run that takes all it can get, beside another one that goes on as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.ordinary_user import OrdinaryUser

EXHAUST = Path(__file__).with_name("hostile") / "exhaust.py"


@pytest.fixture
def beside(moat: Any) -> Any:
    """A run `other` that answers each line of its input."""
    shutil.copy(EXHAUST, moat.workspace)
    moat.ok("run", "-d", "-i", "-n", "other", "--", "cat")
    return moat


def exhaust(moat: Any, what: str, *options: str) -> dict[str, Any]:
    """Start a run `x` that exhausts something, and return what it says when there is no more."""
    moat.ok("run", "-d", "-n", "x", *options, "--", "python3", "-B", "exhaust.py", what)
    moat.ok("wait", "x", "--text", "taken")
    return json.loads(moat.ok("logs", "x").splitlines()[-1])


def test_a_fork_bomb_is_bounded(beside: Any) -> None:
    """The other run and its commands work meanwhile, and the bomb ends when it is told to."""
    said = exhaust(beside, "processes", "--pids", "200")
    assert said["error"] == "EAGAIN"
    assert said["taken"] < 500
    beside.ok("send", "other", "hello\n")
    beside.ok("wait", "other", "--text", "hello")
    assert beside.ok("exec", "other", "--", "sh", "-c", "sh -c 'echo works'") == "works\n"
    assert {run["name"] for run in beside.runs()} == {"x", "other"}
    beside.ok("stop", "x", "--timeout", "1s")
    assert [run["state"] for run in beside.runs() if run["name"] == "x"] == ["stopped"]


def test_processes_are_bounded_by_default(beside: Any) -> None:
    """Nobody has to ask for it: a sandbox has a share of the machine's process numbers."""
    limits = beside.ok("exec", "other", "--", "cat", "/proc/self/limits")
    assert "Max processes             4096                 4096" in limits


@pytest.mark.parametrize("what", ["inotify", "descriptors", "ptys", "signals"])
def test_what_a_run_exhausts_another_still_has(beside: Any, what: str) -> None:
    """What the kernel counts per user is shared out, and the rest per process or namespace."""
    said = exhaust(beside, what)
    assert said["taken"] > 10
    command = ("python3", "-B", "exhaust.py", what, "20")
    assert json.loads(beside.ok("exec", "other", "--", *command)) == {"taken": 20, "error": ""}


def test_descriptors_in_flight_stop_no_other_run(ordinary_user: OrdinaryUser) -> None:
    """The kernel counts them per user, but for root: Moat's own processes may have more than a run."""
    user = ordinary_user
    user.give(EXHAUST)
    moat_of_user = (*("run", "-d", "-n", "x", "--"), "python3", "-B", "exhaust.py", "passed")
    assert user.moat(*moat_of_user).returncode == 0
    assert user.moat("wait", "x", "--text", "ETOOMANYREFS").returncode == 0
    assert user.moat("run", "--", "echo", "works").stdout == "works\n"
    assert user.moat("kill", "x").returncode == 0


def test_a_run_crashes_on_its_own(beside: Any) -> None:
    """No core of its making reaches the program that the host has for cores."""
    limits = beside.ok("exec", "other", "--", "cat", "/proc/self/limits")
    assert "Max core file size        1                    1" in limits

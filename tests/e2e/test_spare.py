"""The spare that a start leaves behind, from which the supervisors of later runs are forked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import Family, end

from moat.platform.inotify import FolderWatch
from moat.wire import spare

if TYPE_CHECKING:
    from collections.abc import Callable


def of_process(pid: int, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_text().strip()


def parent(pid: int) -> int:
    return int(of_process(pid, "stat").rpartition(") ")[2].split()[1])


@pytest.fixture
def spare_pid(moat: Any) -> Callable[[], int]:
    """`spare_pid()`: the pid of the store's spare, once it has loaded after a start."""
    folder = moat.home / spare.FOLDER
    folder.mkdir(mode=0o700, parents=True)

    def pid() -> int:
        with FolderWatch(folder) as changes:
            moat.ok("run", "--", "true")
            while not list(folder.glob("*.sock")):
                changes.drain()
        (found,) = Family(moat.home).spares
        return found

    return pid


def test_later_supervisors_are_forked_from_it(moat: Any, spare_pid: Callable[[], int]) -> None:
    """They are like the first one, in a session of their own, with no file of the spare's."""
    forker = spare_pid()
    moat.ok("run", "-d", "-n", "x", "-e", "SECRET=1", "--", "sleep", "1000")
    supervisor = moat.supervisor("x")
    assert parent(supervisor) == forker
    assert of_process(supervisor, "comm") == "moat-supervisor"
    assert os.getsid(supervisor) == supervisor
    open_files = {str(each.readlink()) for each in Path(f"/proc/{supervisor}/fd").iterdir()}
    assert not [each for each in open_files if f"/{spare.FOLDER}/" in each]
    assert not of_process(forker, "environ").count("SECRET")
    assert moat("run", "--", "sh", "-c", "exit 7").returncode == 7


def test_runs_do_not_miss_it(moat: Any, spare_pid: Callable[[], int]) -> None:
    """Killed at work, it takes no run along; the next start is complete, and leaves another."""
    forker = spare_pid()
    moat.ok("run", "-d", "-n", "x", "-i", "--", "cat")
    supervisor = moat.supervisor("x")
    end(forker)
    assert moat.supervisor("x") == supervisor
    assert moat.inspect("x")["state"] == "running"
    for path in (moat.home / spare.FOLDER).glob("*.sock"):
        path.unlink()
    assert spare_pid() != forker
    moat.ok("send", "x", "hello\n")
    moat.ok("wait", "x", "--text", "hello")


def test_a_run_is_taken_over_by_a_forked_supervisor(
    moat: Any, spare_pid: Callable[[], int]
) -> None:
    """A killed supervisor has its successor at once."""
    forker = spare_pid()
    moat.ok("run", "-d", "-n", "x", "-t", "-i", "--", "sh", "-c", "echo ready; exec cat")
    moat.ok("wait", "x", "--text", "ready")
    moat.kill("x", "supervisor")
    assert "ready" in moat.ok("screen", "x")
    assert parent(moat.supervisor("x")) == forker


def test_the_setting_leaves_none(moat: Any) -> None:
    """`spare: false`: after a start, nothing is left that wasn't asked for."""
    moat.write_settings("spare: false\n")
    moat.ok("run", "--", "true")
    moat.ok("run", "--", "true")
    assert Family(moat.home).spares == []
    assert not (moat.home / spare.FOLDER).exists()

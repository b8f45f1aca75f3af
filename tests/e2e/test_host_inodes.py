"""What a run can change of the host: nothing but its workspace and what was mounted to be written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.ordinary_user import OrdinaryUser

HOSTILE = Path(__file__).with_name("hostile")
DEVICES = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx")]
PATIENCE_S = 280.0


def changed_at(*paths: str) -> dict[str, int]:
    """Return when each inode last changed in any way but by being written to."""
    return {path: Path(path).stat().st_ctime_ns for path in paths}


@pytest.fixture
def bwrap() -> str:
    found = shutil.which("bwrap")
    assert found is not None
    return os.path.realpath(found)


def outcome(text: str) -> dict[str, Any]:
    return json.loads(text.splitlines()[-1])


def test_nothing_that_is_shown_can_be_changed(moat: Any, bwrap: str) -> None:
    """Every file, device, descriptor and process link that a run reaches resists every change."""
    shutil.copy(HOSTILE / "inodes.py", moat.workspace)
    before = changed_at(*DEVICES, bwrap, "/usr/bin/env")
    said = outcome(moat.ok("run", "--", "python3", "inodes.py", timeout=PATIENCE_S))
    assert said["changed"] == {}
    assert said["tried"] > 1000
    assert changed_at(*before) == before


def test_a_joined_command_changes_nothing_either(moat: Any) -> None:
    """The streams that `moat exec` gives to a command are no way to the host's inodes."""
    shutil.copy(HOSTILE / "inodes.py", moat.workspace)
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity")
    before = changed_at(*DEVICES)
    said = outcome(moat.ok("exec", "x", "--", "python3", "inodes.py", "/usr", timeout=PATIENCE_S))
    assert said["changed"] == {}
    assert changed_at(*before) == before


@pytest.mark.parametrize("joins", [False, True])
def test_a_terminal_can_be_used_and_not_changed(
    moat: Any, terminal: Callable[..., Any], joins: bool
) -> None:
    """A run can't open its terminal, which is one of the host's, to the host's other users."""
    shutil.copy(HOSTILE / "inodes.py", moat.workspace)
    script = "python3 inodes.py /usr /etc >answer; test -t 0 -a -t 1 -a -t 2 && echo it is used"
    if joins:
        moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity")
        window = terminal("exec", "-t", "x", "--", "sh", "-c", script)
    else:
        window = terminal("run", "-i", "--", "sh", "-c", script)
    window.expect(rb"it is used", PATIENCE_S)
    window.wait()
    assert outcome((moat.workspace / "answer").read_text())["changed"] == {}


@pytest.mark.parametrize("link", ["exe", "root/etc", "environ", "maps", "mem", "fd/0"])
def test_the_init_of_the_sandbox_is_closed(moat: Any, link: str) -> None:
    """It has no system call filter, so nobody may look into it, trace it or write its memory."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity")
    done = moat("exec", "x", "--", "cat", f"/proc/1/{link}")
    assert done.returncode == 1
    assert "Permission denied" in done.stderr


def test_an_ordinary_users_run_changes_nothing(ordinary_user: OrdinaryUser, bwrap: str) -> None:
    """The same holds where Moat has no privileges at all."""
    ordinary_user.give(HOSTILE / "inodes.py")
    before = changed_at(*DEVICES, bwrap)
    done = ordinary_user.moat("run", "--", "python3", "inodes.py", timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert outcome(done.stdout)["changed"] == {}
    assert changed_at(*before) == before

"""Runs of another version of Moat, whose shims this version can't speak to."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import TIMEOUT_S

import moat as package
from moat.shim import protocol

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER = Path(__file__).with_name("other_moat.py")
REFUSAL = (
    "moat: this run was started by a newer Moat (shim protocol 99; this version speaks"
    f" {protocol.OLDEST} to {protocol.VERSION})\n"
    "      Update Moat, or wait until the run ends\n"
)

Newer = Any
"""`newer(*arguments)`: a `moat` of the future."""


@pytest.fixture
def newer(moat: Any, tmp_path: Path) -> Callable[..., str]:
    tree = tmp_path / "newer"
    shutil.copytree(Path(package.__file__).parent, tree / "moat")
    source = tree / "moat" / "shim" / "protocol.py"
    text = source.read_text()
    for name, number in (("VERSION", protocol.VERSION), ("OLDEST", protocol.OLDEST)):
        assert f"\n{name} = {number}\n" in text
        text = text.replace(f"\n{name} = {number}\n", f"\n{name} = 99\n")
    source.write_text(text)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, OTHER, tree, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=moat.workspace,
            env=moat.environment,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout

    return run


ASKING = [
    ("attach", "x"),
    ("exec", "x", "--", "true"),
    ("stop", "x"),
    ("kill", "x"),
    ("wait", "x"),
    ("wait", "--text", "never", "x"),
    ("send", "x", "input"),
    ("screen", "x"),
    ("detach", "x"),
    ("logs", "-f", "x"),
    ("policy", "x"),
    ("allow", "x", "example.org"),
]


def test_a_run_of_a_newer_moat_is_left_alone(moat: Any, newer: Newer) -> None:
    """Every command that asks its supervisor says why there is none, and the run goes on as it was."""
    os.mkfifo(moat.workspace / "go")
    script = "echo one; read line < go; echo two; exit 7"
    newer("run", "-d", "-t", "-i", "-n", "x", "--", "sh", "-c", script)
    before = moat.inspect("x")
    command = os.pidfd_open(before["pid"])
    moat.kill("x", "supervisor")
    for arguments in ASKING:
        done = moat(*arguments)
        assert (done.returncode, done.stderr) == (125, REFUSAL), arguments
    now = moat.inspect("x")
    assert (now["state"], now["pid"]) == ("running", before["pid"])
    assert now["error"] in REFUSAL
    assert not select.select([command], [], [], 0)[0]
    (moat.workspace / "go").write_text("\n")
    assert newer("wait", "x") == "7\n"
    ended = moat.inspect("x")
    assert (ended["state"], ended["exit_code"], ended["error"]) == ("stopped", 7, None)
    assert moat.ok("logs", "x").replace("\r", "") == "one\ntwo\n"
    os.close(command)


def test_an_end_that_only_an_unable_supervisor_was_there_for(moat: Any, newer: Newer) -> None:
    """The shim keeps it for the next that is able."""
    os.mkfifo(moat.workspace / "go")
    newer("run", "-d", "-n", "x", "--", "sh", "-c", "read line < go; echo two; exit 7")
    command = os.pidfd_open(moat.inspect("x")["pid"])
    moat.kill("x", "supervisor")
    assert moat("attach", "x").stderr == REFUSAL
    (moat.workspace / "go").write_text("\n")
    assert select.select([command], [], [], TIMEOUT_S)[0]
    assert moat("attach", "x").stderr == REFUSAL
    assert moat.inspect("x")["state"] == "running"
    assert newer("wait", "x") == "7\n"
    assert moat.ok("logs", "x") == "two\n"
    os.close(command)


def test_a_run_of_a_newer_moat_can_be_destroyed(moat: Any, newer: Newer) -> None:
    """By force, as any other that has not ended; its workspace is cleaned up all the same."""
    subprocess.run(["git", "init", "-q", moat.workspace], check=True)
    planted = moat.workspace / ".git" / "commondir"
    script = "echo ../fake > .git/commondir; echo planted; sleep 1000"
    newer("run", "-d", "-n", "x", "--", "sh", "-c", script)
    newer("wait", "--text", "planted", "x")
    command = os.pidfd_open(moat.inspect("x")["pid"])
    moat.kill("x", "supervisor")
    assert moat("destroy", "x").returncode == 125
    done = moat("destroy", "--force", "x")
    assert f"moat: after the run: {planted}: renamed to commondir.disarmed" in done.stderr
    assert not planted.exists()
    assert select.select([command], [], [], TIMEOUT_S)[0]
    assert moat.runs() == []
    os.close(command)

"""Containers that the engine, its daemon or a hostile image does something to."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.e2e.container_engines import NAMES, ContainerEngine

from moat.runs import lock

if TYPE_CHECKING:
    from tests.e2e.conftest import Moat

pytestmark = pytest.mark.parametrize("engine", NAMES, indirect=True)

WAITING = ("sh", "-c", "echo on; read line; echo $line; exit 6")


def container(moat: Moat, run: str = "x") -> str:
    name: str = moat.inspect(run)["container"]["name"]
    return name


def do(engine: ContainerEngine, *words: str) -> None:
    subprocess.run([*engine.client, *words], check=True, capture_output=True)


def test_the_engine_knows_nothing_of_the_command(moat: Moat, engine: ContainerEngine) -> None:
    """Neither its words nor its variables; what it knows is whose the container is."""
    moat.ok("run", "-d", "-n", "x", "-e", "TOKEN=hidden", "--", "sleep", "1234567")
    described = engine.api.call("GET", f"/containers/{container(moat)}/json")
    text = json.dumps(described)
    assert "hidden" not in text
    assert "1234567" not in text
    assert described["Config"]["Labels"]["moat.run"] == moat.inspect("x")["id"]
    assert described["HostConfig"]["NetworkMode"] == "none"


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force")])
def test_a_container_that_is_killed(moat: Moat, engine: ContainerEngine, how: tuple[str]) -> None:
    """Whoever may ask the engine can end the run; it ends like one that was killed."""
    moat.ok("run", "-id", "-n", "x", "--", *WAITING)
    do(engine, *how, container(moat))
    assert moat.ok("wait", "x") == "137\n"
    assert moat.inspect("x")["state"] == "stopped"
    assert moat.ok("logs", "x") == "on\n"


def test_a_paused_container_can_be_killed(moat: Moat, engine: ContainerEngine) -> None:
    """What is frozen isn't killed by a signal alone."""
    moat.ok("run", "-id", "-n", "x", "--", *WAITING)
    do(engine, "pause", container(moat))
    moat.ok("kill", "x")
    assert moat.ok("wait", "x") == "137\n"


def test_memory_that_is_used_up(moat: Moat) -> None:
    """The limit is the container's, and who exceeds it is told what has happened."""
    greedy = "x = bytearray(400 << 20); print(len(x))"
    done = moat("run", "-n", "x", "--memory", "64m", "--", "python3", "-c", greedy)
    assert (done.returncode, done.stdout) == (137, "")
    assert "its memory was used up" in done.stderr
    assert "its memory was used up" in moat.inspect("x")["error"]


def test_a_missing_image(moat: Moat, engine: ContainerEngine) -> None:
    """Nothing is started, and the hint says how to get it."""
    done = moat("run", "--engine", engine.name, "--image", "no-such:image", "--", "true")
    assert done.returncode == 125
    assert f"{engine.name} has no image no-such:image" in done.stderr
    assert f"{engine.name} pull no-such:image" in done.stderr
    assert moat.runs() == []


def test_no_engine_where_one_should_be(moat: Moat, engine: ContainerEngine) -> None:
    """The user's choice counts alone: no other engine is taken in its place."""
    for name in engine.environment:
        done = moat("run", "--", "true", **{name: "unix:///nowhere/e.sock"})
        assert done.returncode == 125
        assert "/nowhere/e.sock can't be reached" in done.stderr
        elsewhere = moat("run", "--", "true", **{name: "ssh://far.example.com"})
        assert "not on this machine" in elsewhere.stderr


def test_a_dead_shim_takes_its_container_along(moat: Moat, engine: ContainerEngine) -> None:
    """Nobody would guard the command's network any more."""
    moat.ok("run", "-id", "-n", "x", "--", *WAITING)
    command = os.pidfd_open(moat.inspect("x")["pid"])
    try:
        moat.kill("x", "supervisor", "shim")
        moat("wait", "x")
        assert select.select([command], [], [], TIMEOUT_S)[0], "it goes on without its shim"
    finally:
        os.close(command)
    found = moat.inspect("x")
    assert found["state"] == "lost"
    lock.wait_until_free(moat.home / "runs" / found["id"] / "supervisor.lock")
    assert engine.containers(moat.home) == []


def test_what_was_left_behind_is_removed(moat: Moat, engine: ContainerEngine) -> None:
    """By `prune`, if it is this store's and of no living run; what others have is left alone.

    A container of the user's has all labels of its image, whoever made that.
    """
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    run = secrets.token_hex(6)
    own = moat.home.parent.name
    others = {
        f"moat-{run}": moat.home,
        f"{own}-yours": moat.home,
        f"{own}-theirs": "/home/you/.moat",
    }
    for name, home in others.items():
        labels = ("--label", f"moat.home={home}", "--label", f"moat.run={run}")
        do(engine, "create", "--name", name, *labels, "moat-test", "true")
    try:
        told = moat("prune", "--yes", **engine.environment).stderr
        assert f"moat-{run}" in told
        assert "yours" not in told
        assert moat.inspect("x")["state"] == "running"
        assert sorted(engine.containers(moat.home)) == sorted([container(moat), f"{own}-yours"])
        assert engine.containers(Path("/home/you/.moat")) == [f"{own}-theirs"]
    finally:
        do(engine, "rm", f"{own}-yours", f"{own}-theirs")


def test_a_hostile_image(moat: Moat, engine: ContainerEngine) -> None:
    """No file of the image, such as one in the place of a Python module, is executed with rights."""
    library = Path(os.__file__).parent
    evil = b"#!/bin/sh\nid > /workspace/evil\n"
    module = b"open('/workspace/evil', 'w').close()\n"
    files = {
        **{f"{library}/{name}.py".lstrip("/"): module for name in ("warnings", "encodings/ascii")},
        "etc/ld.so.preload": b"/evil.so\n",
        "init": evil,
    }
    engine.load_files("hostile", files, {})
    named = ("--engine", engine.name, "--image", "hostile")
    done = moat("run", *named, "--", "sh", "-c", "cat /proc/self/status")
    assert "CapEff:\t0000000000000000" in done.stdout, done.stderr
    assert "NoNewPrivs:\t1" in done.stdout
    assert not (moat.workspace / "evil").exists()


def test_an_image_with_links_where_moat_mounts(moat: Moat, engine: ContainerEngine) -> None:
    """They lead nowhere but into the container, and what can't be mounted is said."""
    engine.load_files("linked", {}, {"etc/moat": "/nowhere"})
    done = moat("run", "--engine", engine.name, "--image", "linked", "--", "cat", "/etc/hosts")
    assert done.returncode == 125
    assert "mounted in the container: " in done.stderr
    assert "/etc/moat" in done.stderr


def test_a_daemon_that_hangs(moat: Moat, own: ContainerEngine) -> None:
    """The run needs it for nothing but its end: output, exec and adoption go on without it."""
    moat.environment |= own.environment
    moat.ok("run", "--engine", own.name, "--image", "tiny", "-id", "-n", "x", "--", *WAITING)
    os.kill(own.pid, signal.SIGSTOP)
    assert moat.ok("exec", "x", "--", "sh", "-c", "echo still here") == "still here\n"
    moat.kill("x", "supervisor")
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "--text", "go", "x")
    os.kill(own.pid, signal.SIGCONT)
    assert moat.ok("wait", "x") == "6\n"
    assert moat.ok("logs", "x") == "on\ngo\n"
    moat.ok("destroy", "x")
    assert own.containers(moat.home) == []


def test_a_daemon_that_is_gone_at_the_end(moat: Moat, own: ContainerEngine) -> None:
    """The run ends with its exit code all the same."""
    moat.environment |= own.environment
    moat.ok("run", "--engine", own.name, "--image", "tiny", "-id", "-n", "x", "--", *WAITING)
    own.kill(signal.SIGKILL)
    moat.ok("send", "x", "go\n")
    assert moat.ok("wait", "x") == "6\n"
    assert moat.ok("logs", "x") == "on\ngo\n"

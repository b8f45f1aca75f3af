"""A run that waits for its user, as every command tells it; tests/e2e/agents has the real agents."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

BELLS = r"""
printf '\a'; read line
printf '\033]777;notify;Title;lo\001ok\033\\'; read line
printf '\033]7501;state=blocked:kind=permission:msg=\033]0;x\007\033\\' ; read line
printf '\033]7501;state=blocked:kind=permission\033\\' ; read line
exit 3
"""


def kinds(moat: Moat) -> list[str]:
    lines = moat.ok("events", "x", "--event", "waiting_changed", "--json").splitlines()
    return [json.loads(line)["waits_for"] for line in lines]


def test_a_bell_is_told_by_every_command(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """It outlives the supervisor, and ends with the user's input; the log has each change."""
    (moat.workspace / "bells.sh").write_text(BELLS)
    moat.ok("run", "-d", "-i", "-t", "-n", "x", "--", "bash", "bells.sh")
    moat.ok("run", "-d", "-n", "other", "--", "sleep", "1000")
    assert moat.ok("wait", "x", "--for", "input") == "attention\n"
    assert "WAITS FOR" in moat.ok("list")
    assert moat.inspect("x")["waits_for"] == "attention"
    [found] = moat.json("list", "--json", "-f", "waits_for=any")
    assert (found["name"], found["waits_for"]) == ("x", "attention")
    assert moat.json("list", "--json", "-f", "waits_for=done") == []
    assert "Known: permission" in moat("list", "-f", "waits_for=x").stderr

    moat.kill("x", "supervisor")
    assert moat.ok("wait", "x", "--for", "input") == "attention\n"
    moat.ok("send", "x", "go\n")
    assert moat.ok("wait", "x", "--for", "input", timeout=60) == "attention\n"
    window = terminal("exec", "-it", "x", "--", "sh", size=(80, 24))
    window.shows("x waits for you: attention")
    moat.ok("send", "x", "go\n")
    # A report with a control character in it is none.
    moat.ok("send", "x", "go\n")
    assert moat.ok("wait", "x", "--for", "input", timeout=60) == "permission\n"
    assert kinds(moat) == ["attention", "", "attention", "", "permission"]
    assert "waits for you: permission" in moat.ok("audit", "x")
    done = moat("wait", "other", "--for", "input", "--timeout", "0.1s")
    assert (done.returncode, done.stdout) == (124, "")
    moat.ok("send", "x", "go\n")
    assert moat.ok("wait", "x") == "3\n"
    assert moat("wait", "x", "--for", "input").returncode == 1
    assert moat.inspect("x")["waits_for"] is None
    assert "WAITS FOR" not in moat.ok("list", "-a")
    assert "exclude each other" in moat("wait", "x", "--for", "input", "--exit").stderr


def test_hooks_are_the_users_alone(moat: Moat, tmp_path: Path) -> None:
    """Their command gets the event on the host, from the supervisor; none lies where a run writes."""
    told = tmp_path / "told"
    tell = tmp_path / "tell"
    tell.write_text(f"#!/bin/sh\ncat >> {told}\n")
    tell.chmod(0o700)
    os.mkfifo(told)
    hook = {"command": [str(tell)], "events": ["waiting_changed"]}
    moat.write_settings(json.dumps({"on_event": [hook]}))
    moat.ok("run", "-d", "-t", "-n", "x", "--", "bash", "-c", r"printf '\a'; sleep 1000")
    event = json.loads(told.read_text())
    assert (event["waits_for"], event["run"]["name"]) == ("attention", "x")

    inside = moat.workspace / "tell"
    inside.write_text("#!/bin/sh\n")
    moat.write_settings(json.dumps({"on_event": [hook | {"command": [str(inside)]}]}))
    done = moat("run", "--", "true")
    assert done.returncode != 0
    assert f"would let the run change {inside}" in done.stderr
    moat.write_settings("")
    (moat.workspace / "agent.yaml").write_text(json.dumps({"on_event": [hook]}))
    assert "unknown field 'on_event'" in moat("run", "--", "true").stderr

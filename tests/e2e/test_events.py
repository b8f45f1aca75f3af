"""moat events: what has happened to a run, past and live, and who did it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Moat, Terminal

P = b"\x1f"

EVERYTHING = """\
git init -q nested
git -C nested config core.fsmonitor 'touch /tmp/marker; false'
mkdir -p nested/x; mv nested/.git planted-git; cp -r planted-git nested/.git
echo ready; read line
curl -s --max-time 300 http://denied.test/
exit 4
"""


def events(moat: Moat, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in moat.ok("events", "x", "--json", *arguments).splitlines()]


def test_everything_that_happens_is_an_event(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """From its start over a supervisor's death to its end, with the user behind each act."""
    (moat.workspace / "everything.sh").write_text(EVERYTHING)
    window = terminal(
        *("run", "-i", "-n", "x", "--network-policy", "ask"), *("--", "sh", "everything.sh")
    )
    window.shows("ready")
    window.send(P + b"d")
    assert window.wait() == 0
    moat.ok("exec", "x", "--", "true")
    moat.kill("x", "supervisor")
    moat.ok("deny", "x", "denied.test")
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "x", "--exit")
    found = events(moat)
    kinds = [event["event"] for event in found]
    assert {
        *("supervisor_started", "state_changed", "viewer_attached", "viewer_detached"),
        *("exec_started", "exec_ended", "policy_amended", "input_sent", "denied", "quarantined"),
    } <= set(kinds)
    assert [event["adopted"] for event in found if event["event"] == "supervisor_started"] == [
        False,
        True,
    ]
    steps = [event["after"] for event in found if event["event"] == "state_changed"]
    assert steps == ["starting", "running", "stopped"]
    first = {event["event"]: event for event in reversed(found)}
    assert first["viewer_attached"]["tty"].startswith("/dev/pts/")
    assert first["viewer_detached"]["reason"] == "detached"
    assert first["exec_started"]["command"] == ["true"]
    assert first["input_sent"]["peer"]["uid"] == os.geteuid()
    assert (first["denied"]["host"], first["denied"]["scheme"]) == ("denied.test", "http")
    # The workspace is recorded behind the end, for which nobody waits.
    *_, last = (event for event in found if event["event"] != "snapshot_taken")
    assert (last["event"], last["exit_code"]) == ("state_changed", 4)
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)


def test_events_are_followed(moat: Moat) -> None:
    """Each is printed when it happens, in every supervisor's time, until the run has ended."""
    moat.ok("run", "-d", "-i", "-n", "x", "--", "cat")
    follower = moat.start("events", "x", "-f", "--json")
    assert follower.stdout is not None
    for line in follower.stdout:
        if json.loads(line).get("after") == "running":
            break
    moat.ok("send", "x", "hello")
    assert json.loads(follower.stdout.readline())["event"] == "input_sent"
    moat.kill("x", "supervisor")
    assert json.loads(follower.stdout.readline())["adopted"]
    moat.ok("stop", "x")
    rest = [json.loads(line) for line in follower.stdout]
    assert [event["event"] for event in rest] == ["signal_sent", "state_changed", "state_changed"]
    assert follower.wait(TIMEOUT_S) == 0
    follower.communicate()


def test_events_are_chosen_and_read_by_people(moat: Moat) -> None:
    """By kind, by time, the last few; as text, a line each."""
    moat.ok("run", "-d", "-n", "x", "--", "true")
    moat.ok("wait", "x", "--exit")
    assert len(events(moat, "-n", "1")) == 1
    assert {event["event"] for event in events(moat, "--event", "state_changed")} == {
        "state_changed"
    }
    assert events(moat, "--since", "2100-01-01T00:00:00Z") == []
    text = moat.ok("events", "x")
    assert "running -> stopped, exit code 0" in text
    assert len(text.splitlines()) == len(events(moat))

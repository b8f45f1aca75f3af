"""`moat snapshot`: the workspace of a run as it was at several moments, and back to each of them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.test_audit import proven

from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

DETACH = b"\x1fd"
STEPS = """\
exec 3<>go # a pipe that is opened anew can still have the last step's writer
read line <&3; echo one > work; mkdir dir; echo new > dir/new; printf '#!/bin/sh' > .envrc; echo first
read line <&3; echo two > work; rm -r dir; echo more > more; echo second
read line <&3
"""


@pytest.fixture
def go(project: Path) -> Callable[[], None]:
    """Let the script in a run take its next step, once the workspace has been recorded."""
    os.mkfifo(project / "go")

    def step() -> None:
        (project / "go").write_text("\n")

    return step


def begin(moat: Moat, project: Path, *options: str) -> None:
    (project / "work").write_text("zero\n")
    moat.ok("run", "-d", "-n", "x", *options, "--", "sh", "-c", STEPS, cwd=project)
    recorded(moat)


def recorded(moat: Moat) -> None:
    lock.wait_until_free(folder(moat) / "recorder.lock")


def folder(moat: Moat) -> Path:
    return moat.home / "runs" / moat.inspect("x")["id"]


def listed(moat: Moat) -> list[dict[str, Any]]:
    return moat.json("snapshot", "list", "x", "--json")


def until_taken(moat: Moat, reason: str) -> None:
    """Return once a snapshot was taken for that reason."""
    follower = moat.start("events", "x", "-f", "--json", "--event", "snapshot_taken")
    assert follower.stdout is not None
    for line in follower.stdout:
        if json.loads(line)["reason"] == reason:
            break
    follower.kill()
    follower.communicate()


def test_a_run_at_work(moat: Moat, project: Path, go: Callable[[], None]) -> None:
    """Snapshots while it works, by whichever supervisor: compared, shown, restored, and in its log."""
    begin(moat, project)
    go()
    moat.ok("wait", "x", "--text", "first")
    assert moat.ok("snapshot", "x", "--label", "good") == "x@1\n"
    go()
    moat.ok("wait", "x", "--text", "second")
    moat.kill("x", "supervisor")
    assert moat.ok("snapshot", "create", "x") == "x@2\n"
    assert [each["snapshot"] for each in listed(moat)] == ["start", 1, 2]
    names = moat.ok("snapshot", "diff", "x@start", "x@good", "--name-only").splitlines()
    assert names == [".envrc", "dir/new", "work"]
    assert "-one\n+two\n" in moat.ok("snapshot", "diff", "x@1", "@2", "--", "work")
    assert "-one\n+two\n" in moat.ok("diff", "x", "--since", "1")
    assert moat.ok("diff", "--since", "x@last", "--name-only") == ""
    assert moat.binary("snapshot", "show", "x@good", "work").stdout == b"one\n"
    assert moat.ok("snapshot", "show", "x@1", "dir") == "new\n"
    assert moat.ok("snapshot", "restore", "x@good", "work", "--yes") == "restored  work\n"
    assert (project / "more").exists()
    done = moat("snapshot", "restore", "x@good", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "restored  dir/new\nremoved   more\n"
    assert "x goes on" in done.stderr
    assert (project / "work").read_text() == "one\n"
    undo = moat.ok("snapshot", "restore", "x@4", "--yes")
    assert undo == "removed   dir/new\nrestored  more\n"
    left = moat("snapshot", "restore", "x@start", "--yes")
    assert left.returncode == 0, left.stdout
    assert not (project / ".envrc").exists()
    planted = moat("snapshot", "restore", "x@good", "--yes")
    assert planted.returncode == 1
    assert "left      .envrc: programs on this machine obey it" in planted.stdout
    assert not (project / ".envrc").exists()
    go()
    moat.ok("wait", "x", "--exit")
    log = [json.loads(line) for line in moat.ok("audit", "x", "--json").splitlines()]
    taken = [each["data"] for each in log if each["event"] == "snapshot_taken"]
    assert [each["reason"] for each in taken][:3] == ["asked", "asked", "restore"]
    begun = [each["data"]["snapshot"] for each in log if each["event"] == "restore_begun"]
    assert begun == ["1", "1", "4", "start", "1"]
    proven(moat)


def test_leaving_and_ending_leave_snapshots(
    moat: Moat, project: Path, go: Callable[[], None], terminal: Callable[..., Terminal]
) -> None:
    """Of what has changed by then; the end can be restored when the run is long over."""
    script = "echo ready; read line; echo a > a; echo there; read line < go; echo b > b"
    window = terminal("run", "-it", "-n", "x", "--", "sh", "-c", script, cwd=project)
    window.shows("ready")
    recorded(moat)
    window.send(b"\r")
    window.shows("there")
    window.send(DETACH)
    assert window.wait() == 0
    until_taken(moat, "detach")
    go()
    moat.ok("wait", "x", "--exit")
    lock.wait_until_free(folder(moat) / "supervisor.lock")
    assert [each.get("reason") for each in listed(moat)] == [None, "detach", "end"]
    (project / "a").write_text("mine\n")
    (project / "b").unlink()
    assert moat.ok("snapshot", "restore", "x@end", "--yes") == "restored  a\nrestored  b\n"
    assert (project / "a").read_text() == "a\n"
    assert moat.ok("snapshot", "restore", "x@3", "--yes") == "restored  a\nremoved   b\n"
    assert (project / "a").read_text() == "mine\n"
    assert "detach" in moat.ok("snapshot", "list", "x")
    assert "snapshot_taken" in moat.ok("audit", "x")
    proven(moat)


def test_a_restore_is_asked_about_on_a_terminal(
    moat: Moat, project: Path, go: Callable[[], None], terminal: Callable[..., Terminal]
) -> None:
    """All of it is listed first. Without a terminal it is refused, and a dry run changes nothing."""
    begin(moat, project)
    go()
    moat.ok("wait", "x", "--text", "first")
    refused = moat("snapshot", "restore", "x@start")
    assert refused.returncode == 2
    assert "moat snapshot restore x@start --yes" in refused.stderr
    planned = moat.ok("snapshot", "restore", "x@start", "--dry-run")
    assert planned == "removed   .envrc\nremoved   dir/new\nrestored  work\n"
    assert [each["snapshot"] for each in listed(moat)] == ["start"]
    window = terminal("snapshot", "restore", "x@start", size=(200, 40))
    window.shows("removed   dir/new")
    window.shows("where x is at work")
    window.send(b"n\r")
    assert window.wait() != 0
    assert (project / "dir" / "new").exists()
    window = terminal("snapshot", "restore", "x@start", size=(200, 40))
    window.shows("as listed?")
    (project / "unlisted").write_text("x")
    window.send(b"y\r")
    assert window.wait() == 0
    assert not (project / "dir").exists()
    assert (project / "unlisted").exists()


def test_snapshots_are_pruned_and_go_with_their_run(
    moat: Moat, project: Path, go: Callable[[], None]
) -> None:
    """With their contents. A setting turns those off that nobody asked for."""
    moat.write_settings("snapshots: {on: []}\n")
    begin(moat, project)
    go()
    moat.ok("wait", "x", "--text", "first")
    for number in (1, 2, 3):
        (project / "noise").write_bytes(os.urandom(1000))
        assert moat.ok("snapshot", "x") == f"x@{number}\n"
    assert "Give --keep" in moat("snapshot", "prune", "x").stderr
    assert moat("snapshot", "prune", "x", "--keep", "1").returncode == 2
    pruned = moat.ok("snapshot", "prune", "x", "--keep", "1", "--yes")
    assert pruned == "x@1\nx@2\n"
    assert [each["snapshot"] for each in listed(moat)] == ["start", 3]
    kept = folder(moat) / "snapshots"
    assert len(list(kept.glob("blobs/??/*"))) == 4
    go()
    moat.ok("wait", "x", "--text", "second")
    go()
    moat.ok("wait", "x", "--exit")
    lock.wait_until_free(folder(moat) / "supervisor.lock")
    assert [each["snapshot"] for each in listed(moat)] == ["start", 3]
    assert moat("snapshot", "show", "x@3", "dir/new").stdout == "new\n"
    gone = folder(moat)
    moat.ok("destroy", "x")
    assert not gone.exists()


def test_a_terminal_obeys_nothing_in_a_snapshot(
    moat: Moat, project: Path, terminal: Callable[..., Terminal]
) -> None:
    """A file with control characters is for a pipe, and names are shown with theirs."""
    script = (
        r"printf '\033]0;owned\007' > evil; : > $(printf 'a\033[2Jb'); echo done; sleep infinity"
    )
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", script, cwd=project)
    moat.ok("wait", "x", "--text", "done")
    moat.ok("snapshot", "x")
    assert moat.binary("snapshot", "show", "x@1", "evil").stdout == b"\x1b]0;owned\x07"
    window = terminal("snapshot", "show", "x@1", "evil", size=(200, 24))
    window.shows("a terminal might obey it")
    assert window.wait() == 2
    window = terminal("snapshot", "restore", "x@start", "--dry-run", size=(200, 24))
    window.shows(r"a\033[2Jb")
    window.wait()
    assert b"\x1b]0;owned" not in window.output
    assert "names no snapshot" in moat("snapshot", "show", "x", "evil").stderr
    assert "there is no snapshot" in moat("snapshot", "diff", "x@7").stderr
    assert "is not in the snapshot" in moat("snapshot", "show", "x@1", "nothing").stderr

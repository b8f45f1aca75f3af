"""`moat diff`: everything that a run has changed, whatever it did to hide it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HIDE = r"""
cd /workspace
printf 'evil\n' >> tracked
printf 'two\n' > forged; touch -r tracked-too forged
git update-index --assume-unchanged tracked forged; git update-index --skip-worktree tracked
printf 'x\n' > ignored.log
git init -q nested; printf 'y\n' > nested/file
mkdir -p node_modules/p; printf 'z\n' > node_modules/p/i.js
ln -s /etc/passwd link; chmod +x script; rm deleted; mv renamed elsewhere
printf 'a\0b' > binary
"""


@pytest.fixture
def changed(moat: Any, project: Path) -> Callable[..., None]:
    """A script in a run to its end, which begins once the workspace has been recorded.

    Runs that are named behind it start in the same workspace, and stay.
    """
    os.mkfifo(project / "go")
    os.mkfifo(project / "never")

    def run(name: str, script: str, *stay: str) -> None:
        begin(moat, project, name, script)
        for each in stay:
            begin(moat, project, each, "true", waits_for="never")
        (project / "go").write_text("\n")
        moat.ok("wait", name)

    return run


def begin(moat: Any, project: Path, name: str, script: str, *, waits_for: str = "go") -> None:
    command = ("sh", "-c", f"read line < {waits_for}; {script}")
    moat.ok("run", "-d", "-n", name, "--", *command, cwd=project)
    lock.wait_until_free(moat.home / "runs" / moat.inspect(name)["id"] / "recorder.lock")


def prepare(project: Path) -> None:
    for name in ("tracked", "tracked-too", "forged", "script", "deleted", "renamed"):
        (project / name).write_text("one\n")
    (project / ".gitignore").write_text("*.log\nnode_modules\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", "."], cwd=project, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], cwd=project, check=True)


def test_nothing_that_a_run_does_hides_a_change(
    moat: Any, project: Path, changed: Callable[..., None]
) -> None:
    """Flags in the index, ignored files, nested repositories, forged times; and packages are summed."""
    prepare(project)
    changed("x", HIDE)
    names = moat.ok("diff", "x", "--name-only").splitlines()
    assert {
        *("tracked", "forged", "ignored.log", "nested/file", "nested/.git/HEAD", "link", "script"),
        *("deleted", "renamed", "elsewhere", "binary", ".git/index"),
    } <= set(names)
    assert "tracked-too" not in names
    assert "node_modules/p/i.js" not in names
    (project / "tracked").write_text("the user's\n")
    text = moat.ok("diff", "x")
    assert "# node_modules/: 1 added (files that tools make)\n" in text
    assert "--- a/tracked\n+++ b/tracked\n@@ -1 +1,2 @@\n one\n+evil\n" in text
    assert "@@ -1 +1 @@\n-one\n+two\n" in text
    assert "old mode 100644\nnew mode 100755\n" in text
    assert "new file mode 120000\n--- /dev/null\n+++ b/link\n" in text
    assert moat.ok("diff", "x", "--name-only", "--", "node_modules") == "node_modules/p/i.js\n"
    assert " tracked | +1 -0\n" in moat.ok("diff", "x", "--stat")
    listed = {each["path"]: each for each in moat.json("diff", "x", "--json")["changes"]}
    assert listed["deleted"]["after"] is None
    assert listed["script"]["after"]["mode"] == "0755"


def test_a_living_run_is_compared_with_now(
    moat: Any, project: Path, changed: Callable[..., None]
) -> None:
    """Two runs in one workspace are recorded apart; each shows what has changed since its start."""
    begin(moat, project, "first", "cat go")
    (project / "between").write_text("x\n")
    begin(moat, project, "second", "cat go")
    (project / "after").write_text("y\n")
    assert moat.ok("diff", "first", "--name-only") == "after\nbetween\n"
    assert moat.ok("diff", "second", "--name-only") == "after\n"


def test_a_run_whose_processes_were_killed_has_a_difference(
    moat: Any, project: Path, changed: Callable[..., None]
) -> None:
    """What was recorded at the start is on disk."""
    begin(moat, project, "x", "echo changed > file; echo done; read line < never")
    (project / "go").write_text("\n")
    moat.ok("wait", "--text", "done", "x")
    moat.kill("x", "supervisor", "shim")
    assert "+changed\n" in moat.ok("diff", "x")
    moat("wait", "x")
    assert "+changed\n" in moat.ok("diff", "x")


def test_destroying_the_runs_of_a_workspace_frees_what_is_kept_of_it(
    moat: Any, project: Path, changed: Callable[..., None]
) -> None:
    """The last one takes the contents of the workspace's files with it."""
    changed("x", "echo changed > file", "y")
    moat.ok("destroy", "x")
    assert len(list((moat.home / "snapshots").iterdir())) == 1
    moat.ok("destroy", "-f", "y")
    assert list((moat.home / "snapshots").iterdir()) == []


def test_a_terminal_obeys_nothing_that_a_run_wrote(
    moat: Any, project: Path, terminal: Callable[..., Any], changed: Callable[..., None]
) -> None:
    """Names and contents are shown with their control characters; a pipe gets the bytes."""
    changed("x", r"printf '\033]0;owned\007\302\233red\n' > $(printf 'a\033[2Jb')")
    assert b"+\x1b]0;owned\x07" in moat.binary("diff", "x").stdout
    window = terminal("diff", "x")
    window.shows(r"\x1b]0;owned\x07\x9bred")
    window.shows(r"a\033[2Jb")
    window.wait()
    assert b"\x1b]0;owned" not in window.output


def test_a_run_can_be_undone(moat: Any, project: Path, changed: Callable[..., None]) -> None:
    """Files come back, the user's own changes and git are left alone, and each path is named."""
    prepare(project)
    changed("x", HIDE + "git commit -qam theirs --no-verify")
    (project / "script").write_text("mine\n")
    refused = moat("restore", "x", cwd=project)
    assert refused.returncode == 2
    assert "moat restore --yes" in refused.stderr
    planned = moat("restore", "--dry-run", cwd=project)
    assert planned.returncode == 1
    assert (project / "tracked").read_text() == "one\nevil\n"
    some = moat.ok("restore", "x", "--yes", "--", "tracked", "elsewhere", cwd=project)
    assert some == "removed   elsewhere\nrestored  tracked\n"
    done = moat("restore", "x", "--yes", cwd=project)
    assert done.returncode == 1
    assert set(done.stdout.splitlines()) >= {
        "left      script: it was changed since",
        *("removed   binary", "removed   ignored.log", "removed   link", "restored  deleted"),
    }
    assert ".git" not in done.stdout
    for name in ("tracked", "tracked-too", "forged", "deleted", "renamed"):
        assert (project / name).read_text() == "one\n"
    assert (project / "script").read_text() == "mine\n"
    assert (project / "node_modules" / "p" / "i.js").exists()
    assert (
        moat("restore", "x", "--yes", cwd=project).stdout
        == "left      script: it was changed since\n"
    )


def test_a_living_run_is_not_undone(moat: Any, project: Path) -> None:
    """It would go on and write over it; the message names the command that ends it."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity", cwd=project)
    refused = moat("restore", "x", "--yes", cwd=project)
    assert refused.returncode == 2
    assert "moat stop x" in refused.stderr

"""`moat run --worktree BRANCH`: a run beside the user, on a branch of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat

COMMIT = (
    "git config user.name Agent 2>/dev/null; echo new > file; git add file;"
    " git -c user.name=A -c user.email=a@example.org commit -qm inside; git log -1 --format=%s"
)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_commit_made_inside_is_merged_by_git(moat: Moat, project: Path) -> None:
    """The run has the branch's name, its commits are in the repository, with its settings as before."""
    before = (project / ".git/config").read_text()
    done = moat("run", "--worktree", "fix/tests", "--", "sh", "-c", COMMIT, cwd=project)
    assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr
    assert not (project / "file").exists()
    assert (project / ".git/config").read_text() == before
    assert [run["name"] for run in moat.runs()] == ["fix-tests"]
    git(project, "merge", "-q", "--ff-only", "fix/tests")
    assert (project / "file").read_text() == "new\n"
    [listed] = moat.json("worktree", "list", "--json")
    assert (listed["branch"], listed["repository"], listed["run"]) == (
        "fix/tests",
        str(project),
        None,
    )
    moat.ok("worktree", "clean")
    assert moat.json("worktree", "list", "--json") == []
    assert git(project, "worktree", "list").count("\n") == 0


def test_two_runs_on_two_branches_dont_meet(moat: Moat, project: Path) -> None:
    """Each has its files; a third on a branch that is taken is told so, and makes nothing."""
    for branch in ("a", "b"):
        command = ("sh", "-c", f"echo {branch} > who; sleep 1000")
        moat.ok("run", "-d", "--worktree", branch, "--", *command, cwd=project)
    refused = moat("run", "--worktree", "a", "--", "true", cwd=project)
    assert refused.returncode == 2
    assert "moat: the run a works on a\n" in refused.stderr
    refused = moat("worktree", "clean", "a", cwd=project)
    assert "the run a works on a" in refused.stderr
    assert {each["run"] for each in moat.json("worktree", "list", "--json")} == {"a", "b"}
    for branch in ("a", "b"):
        assert moat.ok("exec", branch, "--", "cat", "who") == f"{branch}\n"


def test_what_cant_start_leaves_nothing(moat: Moat, project: Path, tmp_path: Path) -> None:
    """A name that is taken, a file that nobody agreed to, a folder that is no repository."""

    def refused(*words: str, code: int, cwd: Path = project, **options: Any) -> None:
        done = moat("run", "--worktree", "fix", *words, cwd=cwd, timeout=TIMEOUT_S, **options)
        assert done.returncode == code, done.stderr
        assert git(project, "branch", "--format=%(refname:short)") == "main"
        assert git(project, "worktree", "list").count("\n") == 0
        assert moat.json("worktree", "list", "--json") == []

    moat.ok("run", "-d", "-n", "taken", "--", "sleep", "1000", cwd=project)
    refused("-n", "taken", "--", "true", code=125)
    (project / "agent.yaml").write_text("command: make\n")
    git(project, "add", ".")
    git(project, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "Agent")
    refused(code=3)
    done = moat("run", "--worktree", "fix", "--", "true", cwd=tmp_path)
    assert (done.returncode, "is in no repository of git" in done.stderr) == (2, True)


def test_the_rest_of_the_store_is_no_workspace(moat: Moat) -> None:
    """Only a worktree in it is; a run never gets the folder with all of them."""
    for name in ("", "worktrees", "runs"):
        (moat.home / name).mkdir(mode=0o700, exist_ok=True)
        done = moat("run", str(moat.home / name), "--", "true")
        assert (done.returncode, "where Moat keeps its runs" in done.stderr) == (2, True), name


PLANT = """
cp -r .git other; mv other .git/other; rm .git/other/config; cat > .git/other/config <<'X'
[core]
    repositoryformatversion = 0
    bare = false
[filter "x"]
    smudge = "touch MARKER; cat"
    clean = "touch MARKER; cat"
X
echo other > .git/commondir; echo planted; exec sleep 1000"""


def test_git_obeys_nothing_that_another_run_plants_meanwhile(
    moat: Moat, project: Path, tmp_path: Path
) -> None:
    """A filter in a configuration that is quarantined only at that run's end."""
    marker = tmp_path / "ran"
    (project / ".gitattributes").write_text("* filter=x\n")
    git(project, "add", ".")
    git(project, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "Filter")
    plant = PLANT.replace("MARKER", str(marker))
    moat.ok("run", "-d", "-n", "hostile", "--", "sh", "-ec", plant, cwd=project)
    moat.ok("wait", "hostile", "--text", "planted")
    assert moat.ok("run", "--worktree", "fix", "--", "cat", "README", cwd=project)
    moat.ok("worktree", "clean", "--force")
    assert not marker.exists()

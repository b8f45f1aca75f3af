"""`moat run --copy`: a run on a copy of the workspace, whose changes `moat apply` takes over."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.conftest import ON_EVERY_ENGINE
from tests.e2e.test_worktree import git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat

WORK = r"""
cat secret; echo evil > .envrc; echo changed > file; rm old; mkdir -p new; echo new > new/file
ln -s /etc/passwd link; chmod +x script; printf 'a\0b' > binary
"""
COMMIT = "git add file && git -c user.name=A -c user.email=a@example.org commit -qm inside"


def prepare(project: Path) -> None:
    for name in ("file", "old", "script", "secret"):
        (project / name).write_text(f"{name}\n")
    (project / "agent.yaml").write_text("exclude: [secret]\n")
    (project / ".gitignore").write_text("secret\n")
    commit = ["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "Begin"]
    git(project, "add", ".")
    git(project, *commit)


def listing(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


@ON_EVERY_ENGINE
def test_a_run_works_on_a_copy_until_its_changes_are_applied(moat: Moat, project: Path) -> None:
    """Secrets are hidden as ever, what programs obey is held, and commits are fetched by git."""
    prepare(project)
    before = listing(project)
    done = moat("run", "-n", "work", "--copy", "--", "sh", "-c", WORK, cwd=project)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "moat apply work" in done.stderr
    assert listing(project) == before
    assert "+changed" in moat.ok("diff", "work", "--", "file")

    refused = moat("destroy", "work")
    assert (refused.returncode, "moat apply work" in refused.stderr) == (125, True)
    assert moat("prune", "--yes").returncode == 0
    assert [run["name"] for run in moat.json("list", "-a", "--json")] == ["work"]

    planned = moat("apply", "work", "--dry-run")
    assert (planned.returncode, listing(project)) == (1, before)
    done = moat("apply", "work", "--yes")
    assert done.returncode == 1
    assert done.stdout == planned.stdout
    assert "held      .envrc: direnv: " in done.stdout
    assert not (project / ".envrc").exists()
    assert (project / "file").read_text() == "changed\n"
    assert (project / "new/file").read_text() == "new\n"
    assert (project / "link").readlink().as_posix() == "/etc/passwd"
    assert (project / "binary").read_bytes() == b"a\0b"
    assert (project / "secret").read_text() == "secret\n"
    assert not (project / "old").exists()
    assert os.access(project / "script", os.X_OK)

    assert moat("destroy", "work").returncode == 125
    assert moat.ok("apply", "work", "--yes", "--trust") == "applied   .envrc\n"
    moat.ok("destroy", "work")
    assert not list((moat.home / "runs").iterdir())
    assert not list((moat.home / "snapshots").iterdir())


def test_what_was_changed_since_is_not_replaced(moat: Moat, project: Path) -> None:
    """One conflict keeps everything back; --force, or the names of the others, take it over."""
    prepare(project)
    script = "echo run > file; echo run > script"
    moat.ok("run", "-n", "work", "--copy", "--", "sh", "-c", script, cwd=project)
    (project / "file").write_text("mine\n")
    unknown = moat("apply", "work", "--yes", "--", "src/file")
    assert unknown.returncode == 2
    assert "nothing at src/file" in unknown.stderr
    refused = moat("apply", "work", "--yes")
    assert refused.returncode == 2
    assert "conflict  file: it was changed there\n" in refused.stderr
    assert (project / "script").read_text() == "script\n"
    assert moat.ok("apply", "work", "--yes", "--", "script") == "applied   script\n"
    assert (project / "file").read_text() == "mine\n"
    moat.ok("apply", "work", "--yes", "--force")
    assert (project / "file").read_text() == "run\n"


def test_commits_are_fetched_by_git(moat: Moat, project: Path) -> None:
    """The command that is told brings them, and then the run can go."""
    prepare(project)
    script = f"echo run > file; {COMMIT}"
    moat.ok("run", "-n", "work", "--copy", "--", "sh", "-c", script, cwd=project)
    told = moat("apply", "work", "--dry-run").stderr
    command = told.partition("git fetches them: ")[2].split("\n")[0]
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    git(project, "merge", "-q", "--ff-only", "FETCH_HEAD")
    assert git(project, "log", "-1", "--format=%s") == "inside"
    moat.ok("destroy", "work")


def test_what_cant_start_leaves_no_copy(moat: Moat, project: Path, tmp_path: Path) -> None:
    """A command that doesn't exist, a linked worktree, both kinds of a folder of its own."""
    prepare(project)
    assert moat("run", "--copy", "--", "/nowhere", cwd=project).returncode == 127
    moat("destroy", "-f", *(run["name"] for run in moat.json("list", "-a", "--json")))
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"))
    for folder, words in ((tmp_path / "linked", ()), (project, ("--worktree", "x"))):
        refused = moat("run", "--copy", *words, "--", "true", cwd=folder)
        assert refused.returncode == 2, refused.stderr
        assert refused.stderr.count("\n") <= 2
    assert moat.json("list", "-a", "--json") == []
    assert not list((moat.home / "runs").iterdir())


def test_a_project_may_ask_for_copies(moat: Moat, project: Path) -> None:
    """That takes something from its runs, so nobody is asked; mounts of its folders are of the copy."""
    prepare(project)
    (project / "data").mkdir()
    (project / "data/file").touch()
    (project / "agent.yaml").write_text("workspace: { mode: copy }\nmounts: [data:/data]\n")
    script = "echo x > /data/file; cat data/file"
    words = ("-n", "work", "--trust-project", "--", "sh", "-c", script)
    assert moat.ok("run", *words, cwd=project) == "x\n"
    assert (project / "data/file").read_text() == ""
    moat.ok("destroy", "-f", "work")
    assert moat.ok("run", "-n", "work", "--no-copy", *words[2:], cwd=project) == "x\n"
    assert (project / "data/file").read_text() == "x\n"

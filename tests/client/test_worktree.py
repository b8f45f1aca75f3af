"""Worktrees of git for runs, with a real git and real repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from moat.client.worktree import WorktreeForRun, remove, slug, worktrees
from moat.errors import MoatError, UsageError
from moat.ground import programs
from moat.runs import consents
from moat.runs.agreement import Line
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "README").write_text("a project\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    return folder


def begin(store: Store, tree: Path, name: str = "one") -> None:
    """Put a run into the store that works in a worktree."""
    store.create(
        RunSpec(
            id=RunId("0123456789ab"),
            name=name,
            command=("true",),
            workspace=str(tree),
            created_at="2026-11-23T08:09:10.123Z",
        )
    )


def nothing_is_left(store: Store, repository: Path) -> None:
    assert git(repository, "branch", "--format=%(refname:short)") == "main"
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    folder = store.home / "worktrees"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_branch_is_made_and_stays_with_a_run(store: Store, repository: Path) -> None:
    """The user's own folder isn't touched, and a second start finds the same worktree."""
    with WorktreeForRun(store, str(repository), "feat/X", {}) as made:
        tree = made.worktree.tree
        assert (tree / "README").read_text() == "a project\n"
        made.keep()
    assert git(tree, "branch", "--show-current") == "feat/X"
    assert git(repository, "branch", "--show-current") == "main"
    (tree / "new").touch()
    with WorktreeForRun(store, str(repository), "feat/X", {}) as again:
        assert (again.worktree.tree / "new").exists()
    assert tree.exists()
    [listed] = worktrees(store.home)
    assert (listed.branch, listed.repository, listed.tree) == ("feat/X", repository, tree)
    assert listed.user(store) is None


def test_a_run_that_never_begins_leaves_nothing(store: Store, repository: Path) -> None:
    """Neither the worktree nor its branch."""
    with (
        pytest.raises(KeyboardInterrupt),
        WorktreeForRun(store, str(repository), "fix", {}),
    ):
        raise KeyboardInterrupt
    nothing_is_left(store, repository)


PLANTED = """
[core]
    repositoryformatversion = 0
    bare = false
    sshCommand = touch {marker}
[filter "x"]
    smudge = "touch {marker} {repository}/inside; cat"
    clean = "touch {marker} {repository}/inside; cat"
    required = true
[extensions]
    worktreeConfig = true
"""


@pytest.mark.parametrize("where", ["another folder", "the configuration itself"])
def test_git_obeys_nothing_that_a_run_plants_meanwhile(
    store: Store, repository: Path, tmp_path: Path, where: str
) -> None:
    """Whatever it is made to start sees the repository alone, and the worktree is made all the same."""
    marker = tmp_path / "ran"
    (repository / ".gitattributes").write_text("* filter=x\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Filter")
    begin(store, repository)
    folder = repository / ".git"
    if where == "another folder":
        shutil.copytree(folder, folder / "other")
        (folder / "commondir").write_text("other\n")
        folder /= "other"
    (folder / "config").write_text(PLANTED.format(marker=marker, repository=repository))
    with WorktreeForRun(store, str(repository), "fix", {}) as made:
        assert (made.worktree.tree / "README").read_text() == "a project\n"
        assert not made.is_dirty
    assert (repository / "inside").exists()
    assert not marker.exists()
    assert not made.worktree.folder.exists()


def test_without_a_sandbox_git_is_not_asked_while_a_run_is_at_work(
    store: Store, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is told what to do."""
    begin(store, repository)
    monkeypatch.setattr(programs, "PLACES", ())
    chosen = {"git": os.path.realpath("/usr/bin/git")}
    with pytest.raises(MoatError, match="there is no bwrap"):
        WorktreeForRun(store, str(repository), "fix", chosen)


def test_work_is_never_thrown_away(store: Store, repository: Path) -> None:
    """What was written, or is a run's, stays whatever happened to the client."""
    with WorktreeForRun(store, str(repository), "fix", {}) as made:
        (made.worktree.tree / "work").touch()
    assert (made.worktree.tree / "work").exists()
    with WorktreeForRun(store, str(repository), "two", {}) as made:
        begin(store, made.worktree.tree)
    assert made.worktree.tree.exists()


def test_a_branch_that_exists_is_used(store: Store, repository: Path) -> None:
    """It is not removed with a run that never began."""
    git(repository, "branch", "old")
    with WorktreeForRun(store, str(repository), "old", {}) as made:
        assert git(made.worktree.tree, "branch", "--show-current") == "old"
    assert "old" in git(repository, "branch")
    assert not made.worktree.tree.exists()


def test_two_runs_dont_meet_on_a_branch(store: Store, repository: Path) -> None:
    """The second is told who works there."""
    with WorktreeForRun(store, str(repository), "fix", {}) as made:
        begin(store, made.worktree.tree)
    with (
        pytest.raises(UsageError, match="the run one works on fix"),
        WorktreeForRun(store, str(repository), "fix", {}),
    ):
        pass
    assert made.worktree.tree.exists()


@pytest.mark.parametrize(
    ("branch", "error"),
    [
        ("main", "already"),
        ("a..b", "can't be the name of a branch"),
        ("--force", "can't be the name of a branch"),
    ],
)
def test_a_branch_that_cant_be_is_refused(
    store: Store, repository: Path, branch: str, error: str
) -> None:
    """One clear line, and nothing is left."""
    with (
        pytest.raises(UsageError) as refused,
        WorktreeForRun(store, str(repository), branch, {}),
    ):
        pass
    assert error in refused.value.summary
    nothing_is_left(store, repository)


def test_a_folder_that_is_no_repository_is_refused(
    store: Store, repository: Path, tmp_path: Path
) -> None:
    """So are a part of one, a bare one, and one without a commit."""
    (repository / "part").mkdir()
    git(tmp_path, "init", "-q", "--bare", "bare")
    git(tmp_path, "init", "-q", "empty")
    (tmp_path / "plain").mkdir()
    errors = {
        "project/part": "is a part of the repository",
        "bare": "is a bare repository",
        "empty": "has no commit yet",
        "plain": "is in no repository",
    }
    for name, error in errors.items():
        with (
            pytest.raises(UsageError) as refused,
            WorktreeForRun(store, str(tmp_path / name), "fix", {}),
        ):
            pass
        assert error in refused.value.summary


def test_a_shallow_repository_has_worktrees(store: Store, repository: Path, tmp_path: Path) -> None:
    """Git makes them there as well."""
    git(repository, "commit", "-q", "--allow-empty", "-m", "More")
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    with WorktreeForRun(store, str(tmp_path / "shallow"), "fix", {}) as made:
        assert (made.worktree.tree / "README").exists()


def test_hooks_of_the_repository_dont_run(store: Store, repository: Path, tmp_path: Path) -> None:
    """A worktree needs none, and nobody has asked for them."""
    hook = repository / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    with WorktreeForRun(store, str(repository), "fix", {}) as made:
        made.keep()
    assert not (tmp_path / "ran").exists()


def test_what_the_user_agreed_to_holds_in_the_worktree(store: Store, repository: Path) -> None:
    """It was for the same lines of the same project."""
    lines = (Line("command", "make", opens=True),)
    consents.agree(store.home, repository, lines)
    with WorktreeForRun(store, str(repository), "fix", {}) as made:
        [agreed] = consents.agreements(store.home, made.worktree.tree)
        assert agreed.lines == lines


def test_a_clean_worktree_is_removed_and_its_branch_stays(store: Store, repository: Path) -> None:
    """One with changes that would be lost only by force, whatever a run made of its `.git`."""
    with WorktreeForRun(store, str(repository), "fix", {}) as made:
        made.keep()
    [found] = worktrees(store.home)
    (found.tree / "work").touch()
    with pytest.raises(UsageError, match="was not removed"):
        remove(store, found, {}, force=False)
    (found.tree / ".git").write_text("gitdir: /nowhere\n")
    remove(store, found, {}, force=True)
    assert worktrees(store.home) == []
    assert "fix" in git(repository, "branch")
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_slug_of_a_branch_is_a_name_for_a_run() -> None:
    """Whatever the branch is called."""
    assert slug("Feat/Add_Tests!") == "feat-add_tests"
    assert slug("/") == "worktree"
    assert len(slug("x" * 100)) == 40

"""What a run leaves in `.git` to be obeyed later."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from moat.engines.planted import remember_free_names, remove_planted
from moat.paths import RunFolder
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    root = tmp_path / "run"
    root.mkdir()
    return RunFolder(root)


def spec_of(repository: Path, *, writable_git: bool = False) -> RunSpec:
    return RunSpec(
        id=RunId("0123456789ab"),
        name="n",
        command=("true",),
        workspace=str(repository),
        created_at="2026-01-01T00:00:00Z",
        writable_git=writable_git,
    )


def test_a_planted_commondir_is_removed(repository: Path, folder: RunFolder) -> None:
    """The host's git is not sent to a folder that the agent made."""
    remember_free_names(spec_of(repository), folder)
    (repository / ".git" / "commondir").write_text("/tmp/evil\n")
    assert remove_planted(folder) == [".git/commondir"]
    assert not (repository / ".git" / "commondir").exists()


def test_a_folder_or_a_link_in_its_place_goes_too(
    repository: Path, folder: RunFolder, tmp_path: Path
) -> None:
    """Whatever stands there is removed, and what a link leads to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    remember_free_names(spec_of(repository), folder)
    (repository / ".git" / "commondir").symlink_to(outside)
    (repository / ".git" / "config.worktree").mkdir()
    assert set(remove_planted(folder)) == {".git/commondir", ".git/config.worktree"}
    assert (outside / "kept").exists()


def test_a_git_folder_that_became_a_link_is_not_followed(
    repository: Path, folder: RunFolder, tmp_path: Path
) -> None:
    """Nothing outside the workspace is removed."""
    remember_free_names(spec_of(repository), folder)
    (repository / ".git").rename(tmp_path / "moved")
    (repository / ".git").symlink_to(tmp_path / "moved")
    (tmp_path / "moved" / "commondir").write_text("x")
    assert remove_planted(folder) == []
    assert (tmp_path / "moved" / "commondir").exists()


def test_what_was_there_before_stays(repository: Path, folder: RunFolder) -> None:
    """A repository that has such a file keeps it."""
    (repository / ".git" / "config.worktree").write_text("[core]\n")
    remember_free_names(spec_of(repository), folder)
    assert remove_planted(folder) == []
    assert (repository / ".git" / "config.worktree").exists()


def test_nothing_is_watched_where_git_may_be_written(repository: Path, folder: RunFolder) -> None:
    """`--writable-git` means it."""
    remember_free_names(spec_of(repository, writable_git=True), folder)
    (repository / ".git" / "commondir").write_text("x")
    assert remove_planted(folder) == []

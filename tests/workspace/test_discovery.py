"""The search for everything that git would take for a repository."""

from __future__ import annotations

import subprocess
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from moat.workspace.discovery import discover, is_git_folder, list_folder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def paths(*names: str) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]


def test_what_git_obeys_is_found(tmp_path: Path) -> None:
    """Repositories with and without a worktree, and `.git` files; links are not followed."""
    for arguments in (("a",), ("--bare", "b.git"), ("--separate-git-dir", "c.git", "c/d")):
        subprocess.run(["git", "init", "-q", *arguments], cwd=tmp_path, check=True)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "c" / ".git").symlink_to("../a/.git")
    found = discover(tmp_path, 1000, enters_git=False)
    assert sorted(found.git_folders) == paths("b.git", "c.git")
    assert found.unentered == paths("a/.git")
    assert sorted(found.gitfiles) == paths("c/.git", "c/d/.git")
    assert found.complete


def test_the_work_is_bounded(tmp_path: Path) -> None:
    """The search finds near folders first, and says that there is more."""
    (tmp_path / "x" / "y" / ".git").mkdir(parents=True)
    (tmp_path / "z" / ".git").mkdir(parents=True)
    found = discover(tmp_path, 3, enters_git=False)
    assert found.unentered == paths("z/.git")
    assert not found.complete


def test_names_are_bounded_in_one_folder_and_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder can have millions of them, which is said as that there is more."""
    (tmp_path / "x" / "y" / ".git").mkdir(parents=True)
    for number in range(200):
        (tmp_path / f"{number}").touch()
    assert discover(tmp_path, 5, enters_git=False).unentered == paths("x/y/.git")
    found = discover(tmp_path, 4, enters_git=False)
    assert (found.unentered, found.complete) == ([], False)
    monkeypatch.setattr("moat.workspace.discovery.MAX_NAMES_IN_FOLDER", 20)
    assert not discover(tmp_path, 1000, enters_git=False).complete
    assert len(list_folder(str(tmp_path))[1]) in {19, 20}


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    """The other folders are searched."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / ".git").mkdir(parents=True)

    def listing(folder: str) -> tuple[list[str], list[str]]:
        if folder.endswith("/a"):
            raise PermissionError
        return (["a", "b"], []) if folder == f"{tmp_path}/" else ([".git"], [])

    found = discover(tmp_path, 10, enters_git=False, read=listing)
    assert found.unreadable == paths("a")
    assert found.unentered == paths("b/.git")


def test_a_search_enters_git_folders_if_told_to(tmp_path: Path) -> None:
    """After a run the folders in them are searched too, except those that were told to skip."""
    subprocess.run(["git", "init", "-q", "--bare", ".git/modules/x"], cwd=tmp_path, check=True)
    (tmp_path / "hidden" / ".git").mkdir(parents=True)
    found = discover(tmp_path, 100, enters_git=True, skipped={"hidden"})
    assert found.git_folders == paths(".git/modules/x")
    assert found.unentered == []


def test_names_of_the_table_are_found_at_any_depth(tmp_path: Path) -> None:
    """Files, folders and links; a suffix finds several; packages in `node_modules` are left out."""
    for folder in ("a/b", "node_modules/x", "my_node_modules"):
        (tmp_path / folder).mkdir(parents=True)
    for file in (".envrc", "a/b/one.code-workspace", "a/b/two.code-workspace", "a/b/other"):
        (tmp_path / file).touch()
    (tmp_path / "a" / ".vscode").symlink_to("b")
    for folder in ("a/b/.idea", "node_modules/x/.vscode", "my_node_modules/.vscode"):
        (tmp_path / folder).mkdir()
    assert discover(tmp_path, 100, enters_git=False).named == paths(
        *(".envrc", "a/.vscode", "my_node_modules/.vscode", "a/b/.idea"),
        *("a/b/one.code-workspace", "a/b/two.code-workspace"),
    )


def test_the_spelling_of_gits_names_makes_no_difference(tmp_path: Path) -> None:
    """On a file system that takes `.GIT` for `.git`, git does the same."""
    for folder in ("a/.GIT/Objects", "a/.GIT/refs", "b", "c/objects", "c/refs"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("a/.GIT/head", "b/.Git", "b/head", "c/HEAD", "c/Head"):
        (tmp_path / file).touch()
    found = discover(tmp_path, 100, enters_git=True)
    assert sorted(found.git_folders) == paths("a/.GIT", "c")
    assert found.gitfiles == paths("b/.Git")


def test_the_names_in_a_git_folder() -> None:
    """Git's own test, by the names in the folder."""
    assert is_git_folder(["HEAD", "objects", "refs", "x"])
    assert is_git_folder(["HEAD", "commondir"])
    assert is_git_folder(["head", "Commondir"])
    assert not is_git_folder(["HEAD", "refs"])
    assert not is_git_folder(["objects", "refs", "config"])

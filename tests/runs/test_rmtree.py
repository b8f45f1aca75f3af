"""The deletion of what a hostile sandbox has left."""

from __future__ import annotations

import os
import resource
import stat
from typing import TYPE_CHECKING

import pytest

from moat.runs.rmtree import empty_folder
from moat.shim import linux

if TYPE_CHECKING:
    from pathlib import Path


def make_deep(folder: Path, depth: int) -> None:
    """Make a file in nested folders, with a path longer than any system call accepts."""
    fd = os.open(folder, os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=fd))
    os.close(fd)


def test_everything_goes_but_the_folder(tmp_path: Path) -> None:
    """Files, sibling and nested folders, sockets, named pipes and dangling links are deleted."""
    for path in ("a/b/c", "a/d", "e", "f/g/h/i"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "file").touch()
    os.mkfifo(tmp_path / "a" / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    empty_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_depth_does_not_matter(tmp_path: Path) -> None:
    """The folders are deeper than Python recurses and more than the process has descriptors."""
    make_deep(tmp_path, 1500)
    (tmp_path / "deep" / "beside").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        empty_folder(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(tmp_path.iterdir()) == []


def test_folders_without_rights_are_opened(tmp_path: Path) -> None:
    """This is tried as a user to whom permissions apply, and not as root."""
    inner = tmp_path / "home" / "locked" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for folder in (inner, inner.parent, inner.parent.parent):
        folder.chmod(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                linux.drop_privileges()
            empty_folder(tmp_path)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []


def test_what_links_point_at_stays_as_it_is(tmp_path: Path) -> None:
    """A link's target is neither emptied nor changed in its permissions."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for folder in (outside, inside / "home"):
        folder.mkdir(parents=True)
    (outside / "kept").write_text("mine")
    outside.chmod(0o755)
    (outside / "kept").chmod(0o444)
    (inside / "home" / "folder").symlink_to(outside)
    (inside / "home" / "file").symlink_to(outside / "kept")
    (inside / "home" / "hard").hardlink_to(outside / "kept")
    empty_folder(inside)
    assert list(inside.iterdir()) == []
    assert (outside / "kept").read_text() == "mine"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    assert stat.S_IMODE((outside / "kept").stat().st_mode) == 0o444


def test_a_folder_that_is_moved_away_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that moves the folder meanwhile doesn't lead the deletion to the folders above."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (inside / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").mkdir()
    opened = os.open

    def open_and_move(path: str, flags: int, **where: int) -> int:
        fd = opened(path, flags, **where)
        if path == "b":
            (inside / "a" / "b").rename(outside / "b")
        return fd

    monkeypatch.setattr(os, "open", open_and_move)
    with pytest.raises(OSError, match="Stale"):
        empty_folder(inside)
    assert (outside / "kept").exists()


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Nothing behind the link is touched."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "link").symlink_to("outside")
    with pytest.raises(NotADirectoryError):
        empty_folder(tmp_path / "link")
    assert (tmp_path / "outside" / "kept").exists()

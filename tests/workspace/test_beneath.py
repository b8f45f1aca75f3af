"""Paths opened without following symbolic links."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from moat.workspace.beneath import (
    SymbolicLinkError,
    open_beneath,
    open_folder,
    overlap,
    resolve,
    settled,
)


def test_a_path_is_opened_part_by_part(tmp_path: Path) -> None:
    """The descriptor is that of the file or folder at the path."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    with open_folder(tmp_path) as root, open_beneath(root, PurePosixPath("a/b")) as opened:
        assert opened.is_folder
        assert opened.path == tmp_path / "a" / "b"
        assert os.path.samestat(os.fstat(opened.descriptor), (tmp_path / "a" / "b").stat())


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("path", ["link", "link/b", "a/up/a"])
def test_no_link_is_followed(tmp_path: Path, path: str) -> None:
    """Neither at the end nor on the way, inside or out; and no descriptor is left open."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a" / "up").symlink_to("..")
    with open_folder(tmp_path) as root, pytest.raises(SymbolicLinkError):
        open_beneath(root, PurePosixPath(path))


@pytest.mark.usefixtures("descriptors")
def test_what_is_missing_is_an_error(tmp_path: Path) -> None:
    """A file in the place of a folder is an error too."""
    (tmp_path / "file").touch()
    for path in ("missing", "file/below"):
        with open_folder(tmp_path) as root, pytest.raises(OSError, match=r"No such|Not a dir"):
            open_beneath(root, PurePosixPath(path))


def test_overlap() -> None:
    """One path lies in the other, either way; a common beginning of names isn't enough."""
    assert overlap(Path("/a"), Path("/a/b"))
    assert overlap(Path("/a/b"), Path("/a"))
    assert not overlap(Path("/a/b"), Path("/a/bc"))


def test_links_of_the_user_are_resolved(tmp_path: Path) -> None:
    """Absolute and relative links, chains, and `..` behind a link resolve as the kernel has it."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "relative").symlink_to("a/b")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    for path in ("absolute", "absolute/..", "relative/../../relative", "missing/x", "a/b/.."):
        assert resolve(tmp_path / path, tmp_path / "none") == Path(
            os.path.realpath(tmp_path / path)
        )


def test_a_path_by_which_each_process_comes_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    """Nor does one that nobody can follow."""
    for name, target in (("me", "/proc/self"), ("one", "two"), ("two", "one"), ("up", "..")):
        (tmp_path / name).symlink_to(target)
    for path in ("/proc/self/cwd/x", "/dev/fd/3", "me", "me/root/x", "one", "x" * 256):
        assert settled(tmp_path / path) is None, path
    assert settled(tmp_path / "up" / "x") == tmp_path.parent / "x"


def test_links_in_an_untrusted_folder_are_not_resolved(tmp_path: Path) -> None:
    """Whichever way a path gets there, and a loop isn't followed for ever."""
    (tmp_path / "theirs" / "plain").mkdir(parents=True)
    (tmp_path / "theirs" / "link").symlink_to(tmp_path)
    (tmp_path / "alias").symlink_to("theirs")
    (tmp_path / "loop").symlink_to("loop")
    assert resolve(tmp_path / "alias" / "plain", tmp_path / "theirs") == tmp_path / "theirs/plain"
    for path in ("theirs/link", "alias/link", "alias/link/alias/plain", "loop"):
        with pytest.raises(SymbolicLinkError):
            resolve(tmp_path / path, tmp_path / "theirs")

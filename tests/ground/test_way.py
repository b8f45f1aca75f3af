"""The way to a path, and who could change what it leads to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.ground.way import flaw, steps

if TYPE_CHECKING:
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def places(path: Path) -> list[str]:
    return [step.path for step in steps(str(path))]


def test_every_link_and_what_it_leads_to_is_on_the_way(folder: Path) -> None:
    """Relative and absolute ones, in folders and at the end, with `..` in them."""
    (folder / "real" / "sub").mkdir(parents=True)
    (folder / "real" / "file").touch()
    (folder / "one").symlink_to("real/sub")
    (folder / "two").symlink_to(folder / "one" / ".." / "file")
    way = places(folder / "two")
    assert way[-1] == str(folder / "real" / "file")
    for name in ("two", "one", "real", "real/sub"):
        assert str(folder / name) in way
    assert places(folder / "real" / "sub" / "..")[-1] == str(folder / "real")


def test_the_way_leads_where_the_kernel_goes(folder: Path) -> None:
    """Whatever is on it, the end is that of realpath(3); what doesn't exist is kept."""
    (folder / "a").mkdir()
    (folder / "a" / "back").symlink_to("..")
    (folder / "chain").symlink_to("a/back/a")
    for name in ("a", "chain", "chain/back/missing/x", "missing", "./a//back/"):
        path = f"{folder}/{name}"
        assert places(path)[-1] == os.path.realpath(path)  # type: ignore[arg-type]


def test_links_in_a_circle_are_an_error(folder: Path) -> None:
    """A way without an end leads nowhere."""
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        steps(str(folder / "a"))


def flaw_of(path: Path) -> str | None:
    return flaw(steps(str(path)))


def test_what_only_the_user_can_change_has_no_flaw(folder: Path) -> None:
    """Neither a link nor a folder like /tmp on the way makes one."""
    file = folder / "file"
    file.touch(0o644)
    (folder / "link").symlink_to(file)
    assert flaw_of(folder / "link") is None


@pytest.mark.parametrize("mode", [0o666, 0o646])
def test_a_file_that_others_may_write(folder: Path, mode: int) -> None:
    """It is named with its mode."""
    file = folder / "file"
    file.touch()
    file.chmod(mode)
    assert str(flaw_of(file)) == f"{file} can be written by others (mode {mode:o})"


def test_a_folder_in_which_others_may_put_another_file(folder: Path) -> None:
    """The file's own mode doesn't help; the bit that /tmp has does."""
    (folder / "open").mkdir()
    (folder / "open" / "file").touch(0o600)
    (folder / "open").chmod(0o777)
    assert "open can be written by others" in str(flaw_of(folder / "open" / "file"))
    (folder / "open").chmod(0o1777)
    assert flaw_of(folder / "open" / "file") is None


@needs_root
def test_a_file_of_another_users(folder: Path) -> None:
    """Its owner may write it, whatever its mode; so may the owner of a folder or link on the way."""
    for name in ("file", "link", "sub"):
        (folder / name).mkdir() if name == "sub" else None
    (folder / "file").touch(0o600)
    (folder / "link").symlink_to("file")
    (folder / "sub" / "file").touch()
    os.chown(folder / "link", 4321, 4321, follow_symlinks=False)
    assert "belongs to another user (4321)" in str(flaw_of(folder / "link"))
    os.chown(folder / "sub", 4321, 4321)
    assert "belongs to another user (4321)" in str(flaw_of(folder / "sub" / "file"))


@needs_root
def test_a_group_counts_unless_it_is_the_owners_own(folder: Path) -> None:
    """Distributions give each user a group of the same number, which may write by default."""
    file = folder / "file"
    file.touch()
    file.chmod(0o664)
    assert flaw_of(file) is None  # root's
    os.chown(file, -1, 54321)
    assert "can be written by others" in str(flaw_of(file))


def test_what_is_missing_is_a_flaw(folder: Path) -> None:
    """Nobody can say who would make it."""
    assert "does not exist" in str(flaw_of(folder / "missing"))

"""Bubblewrap's arguments for mounts."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.mounts import Mounts
from moat.engines.under_shim.copies import COPIES
from moat.workspace.beneath import open_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("descriptors")
def test_descriptors_are_numbered_above_the_shims(tmp_path: Path) -> None:
    """They keep their numbers through two processes that have descriptors of their own."""
    mounts = Mounts(tmp_path / "private")
    with open_folder(tmp_path) as root:
        mounts.bind_handle(root, "/here", writable=True)
    assert mounts.arguments == ["--bind-fd", str(mounts.descriptors[0]), "/here"]
    assert mounts.descriptors[0] >= 32
    mounts.close()


def test_copies_are_shown_by_links_in_one_folder(tmp_path: Path) -> None:
    """However many there are, bubblewrap mounts one folder; each link leads to its own copy there."""
    private = tmp_path / "private"
    mounts = Mounts(private)
    for name, content in (("config", "one"), ("config.worktree", "two\udcff")):
        mounts.show_copy(content, PurePosixPath("/workspace/.git") / name)
    assert mounts.arguments == ["--bind", str(private / "copies"), str(COPIES)]
    assert mounts.links == [
        (f"{COPIES}/0/link", "/workspace/.git/config"),
        (f"{COPIES}/1/link", "/workspace/.git/config.worktree"),
    ]
    assert str((private / "copies/1/link").readlink()) == f"{COPIES}/1/config.worktree"
    assert (private / "copies/1/config.worktree").read_bytes() == b"two\xff"

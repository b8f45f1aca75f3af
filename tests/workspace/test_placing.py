"""The workspace into which files are put, opened again by the path that was recorded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from moat.errors import MoatError
from moat.workspace.placing import open_workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_a_workspace_is_opened_where_it_was(tmp_path: Path) -> None:
    """The handle knows its path."""
    with open_workspace(tmp_path) as opened:
        assert opened.is_folder
        assert opened.path == tmp_path


@pytest.mark.parametrize("swapped", ["around", "around/root"])
def test_no_link_that_was_put_there_is_followed(tmp_path: Path, swapped: str) -> None:
    """A run that works on a folder around the workspace can put one in the place of any folder."""
    (tmp_path / "around" / "root").mkdir(parents=True)
    (tmp_path / "victim" / "root").mkdir(parents=True)
    shutil.rmtree(tmp_path / swapped)
    (tmp_path / swapped).symlink_to(tmp_path / "victim")
    with pytest.raises(MoatError, match="a symbolic link leads there now"):
        open_workspace(tmp_path / "around" / "root")


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    """Nothing, and a file."""
    with pytest.raises(MoatError, match="No such file"):
        open_workspace(tmp_path / "root")
    (tmp_path / "root").touch()
    with pytest.raises(MoatError, match="Not a directory"):
        open_workspace(tmp_path / "root")

"""What a sandbox wrote outside the workspace, after the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.paths import RunFolder
from moat.runs import private_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_it_moves_once_to_a_place_that_no_sandbox_knew(tmp_path: Path) -> None:
    """Nothing is left at its old path, and a second clean-up leaves it where it is."""
    run = RunFolder(tmp_path)
    (run.private / "home").mkdir(parents=True)
    (run.private / "home" / "a").touch()
    private_folder.move_away(run)
    (moved,) = run.private.glob("ended-*/*/a")
    private_folder.move_away(run)
    assert [moved] == [*run.private.glob("**/a")]


def test_it_is_emptied_wherever_it_lies(tmp_path: Path) -> None:
    """Both before and after it was moved, and where there is none."""
    run = RunFolder(tmp_path)
    private_folder.move_away(run)
    private_folder.empty(run)
    (run.private / "home").mkdir(parents=True)
    private_folder.move_away(run)
    (run.private / "tmp").mkdir()
    private_folder.empty(run)
    assert not [*run.private.iterdir()]

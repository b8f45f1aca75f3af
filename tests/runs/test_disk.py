"""The disk space of a run, whatever it has made of its folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.paths import RunFolder
from moat.runs.disk import DEEPEST, Measure

if TYPE_CHECKING:
    from pathlib import Path

PIECE = bytes(8192)


def _run(folder: Path) -> RunFolder:
    run = RunFolder(folder / "run")
    (run.journal / "main").mkdir(parents=True)
    (run.journal / "main" / "0.stdout").write_bytes(PIECE * 4)
    run.database.write_bytes(PIECE * 2)
    run.private.mkdir()
    (run.private / "home").mkdir()
    (run.private / "home" / "file").write_bytes(PIECE)
    return run


def test_the_parts_of_a_run_are_measured(tmp_path: Path) -> None:
    """Its output, its record, and all else."""
    measure = Measure()
    use = measure.run(_run(tmp_path))
    assert use.journal >= 4 * len(PIECE)
    assert 2 * len(PIECE) <= use.record < use.journal
    assert len(PIECE) <= use.other
    assert use.total == sum(use)
    assert measure.complete


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A run may put a link to anything in its home."""
    run = _run(tmp_path)
    before = Measure().run(run).total
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "large").write_bytes(PIECE * 100)
    (run.private / "home" / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(run.private / "home" / "fifo")
    assert Measure().run(run).total - before < len(PIECE) * 100


def test_folders_without_end_are_not_followed(tmp_path: Path) -> None:
    """Depth is bounded, and the measure says that there is more."""
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(DEEPEST + 50):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)
    measure = Measure()
    measure.folder(tmp_path)
    assert not measure.complete


def test_what_can_not_be_read_is_not_counted(tmp_path: Path) -> None:
    """A folder that isn't there takes nothing, and one without permissions holds nothing up."""
    run = _run(tmp_path)
    (run.private / "home").chmod(0)
    measure = Measure()
    assert measure.run(run).total > 0
    assert measure.folder(tmp_path / "absent") == 0
    (run.private / "home").chmod(0o700)


def test_a_measure_ends_when_its_time_is_up(tmp_path: Path) -> None:
    """The measure says that it isn't complete."""
    measure = Measure(0.0)
    assert measure.over
    assert measure.folder(tmp_path) == 0
    assert not measure.complete

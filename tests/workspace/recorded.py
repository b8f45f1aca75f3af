"""A workspace that is recorded for a run, without the run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from moat.paths import RunFolder
from moat.workspace import recorder
from moat.workspace.frozen_changes import changes_of
from moat.workspace.patch import patch
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from moat.workspace.changes import Change

FUTURE = 2**62
"""A start after everything: nothing that is recorded is late."""


@dataclass
class Recorded:
    """A workspace that was recorded for a run."""

    home: Path
    root: Path
    run: RunFolder

    def record(self, *, started_at: int = FUTURE, hidden: tuple[str, ...] = ()) -> None:
        self.run.recorder_lock.touch()
        recorder.record(self.run, str(self.root), started_at, set(hidden))

    def another(self, name: str) -> Recorded:
        """Return another run in the same workspace."""
        folder = RunFolder(self.home / "runs" / name)
        folder.root.mkdir(parents=True)
        return Recorded(self.home, self.root, folder)

    def changes(self, *, ended: bool = False) -> dict[str, Change]:
        with changes_of(self.run, ended=ended) as (changes, _):
            return {change.path: change for change in changes.changes}

    def notes(self) -> list[str]:
        with changes_of(self.run, ended=False) as (changes, _):
            return changes.notes

    def patch(self, *, ended: bool = False) -> bytes:
        with changes_of(self.run, ended=ended) as (changes, pack):
            lines: list[bytes] = []
            for change in changes.changes:
                before, after = (
                    None if side is None or side.content is None else pack.read(side.content)
                    for side in (change.before, change.after)
                )
                lines += patch(change, before, after)
            return b"".join(lines)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return new_workspace(tmp_path)


def new_workspace(folder: Path) -> Recorded:
    (folder / "root").mkdir()
    return Recorded(folder / "home", folder / "root", RunFolder(folder)).another("one")


def age(root: Path) -> None:
    """Wait for the clock of the file system, so that what is there is settled in the next manifest."""
    manifest = take_manifest(root)
    newest = max(
        each[3] for folder in manifest.folders.values() for each in folder.entries.values()
    )
    while time.time_ns() < newest + 200_000_000:
        os.sched_yield()

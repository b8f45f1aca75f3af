"""A workspace and a copy of it that a run has worked on, without the run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.workspace.recorded import FUTURE

from moat.paths import RunFolder
from moat.spec import RunId, RunSpec
from moat.workspace import recorder
from moat.workspace.applying import Application
from moat.workspace.copying import copy_workspace
from moat.workspace.frozen_changes import changes_of
from moat.workspace.held_paths import ObeyedPaths
from moat.workspace.manifest import dumps

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moat.workspace.apply_plan import Plan


@dataclass
class CopiedWorkspace:
    """A user's workspace, and a run that works on a copy."""

    root: Path
    run: RunFolder

    @property
    def copy(self) -> Path:
        return self.run.copy

    @property
    def spec(self) -> RunSpec:
        return RunSpec(
            id=RunId(self.run.id),
            name="run",
            command=("true",),
            workspace=str(self.root),
            copy=str(self.copy),
            created_at="",
        )

    def begin(self, *exclude: str) -> None:
        """Copy the workspace, and record the copy, as a start does."""
        copied = copy_workspace(str(self.root), self.copy, exclude)
        self.run.copied_manifest.write_bytes(dumps(copied.manifest))
        self.run.recorder_lock.touch()
        recorder.record(self.run, str(self.copy), FUTURE, set(copied.manifest.hidden))

    @contextmanager
    def application(self) -> Generator[Application]:
        with (
            changes_of(self.run, ended=True) as (changes, _),
            Application(self.spec, self.run, changes.changes) as application,
        ):
            yield application

    def plan(self, *, force: bool = False, trust: bool = False) -> Plan:
        with self.application() as application:
            hold = (lambda _: "") if trust else ObeyedPaths(self.spec).obeyed_by
            listed = [each for each in application.changes if each.generated is None]
            return application.plan(listed, hold, force=force)

    def apply(self, *, force: bool = False, trust: bool = False) -> list[str]:
        """Carry out the plan; return the paths that were changed."""
        plan = self.plan(force=force, trust=trust)
        with self.application() as application:
            return [each.path for each in application.carry_out(plan, force=force)]


def new_copied(folder: Path) -> CopiedWorkspace:
    (folder / "root").mkdir()
    run = RunFolder(folder / "home" / "runs" / "one")
    run.root.mkdir(parents=True)
    return CopiedWorkspace(folder / "root", run)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CopiedWorkspace:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    return new_copied(tmp_path)

"""A workspace of which snapshots are taken, without the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from tests.workspace.recorded import Recorded, new_workspace

from moat.spec import RunId, RunSpec, Snapshots, codec
from moat.workspace.history.history import History
from moat.workspace.history.record import ASKED, RESTORE
from moat.workspace.history.reference import Fixed
from moat.workspace.history.restoration import Restoration
from moat.workspace.history.taking import take

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.workspace.changes import Change
    from moat.workspace.history.record import Head
    from moat.workspace.history.reference import State
    from moat.workspace.restoring import Restored


@dataclass
class Snapshotted:
    """A workspace of which snapshots are taken."""

    recorded: Recorded
    spec: RunSpec

    @property
    def root(self) -> Path:
        return self.recorded.root

    @property
    def history(self) -> History:
        return History(self.recorded.run)

    def set_rules(self, rules: Snapshots) -> None:
        self.spec = replace(self.spec, snapshots=rules)
        self.recorded.run.spec.write_text(codec.dumps(self.spec))

    def take(self, reason: str = ASKED, label: str = "") -> Head:
        taken = take(self.recorded.run, self.spec.snapshots, reason, label)
        assert taken is not None
        return taken.head

    def take_if_due(self, reason: str) -> Head | None:
        taken = take(self.recorded.run, self.spec.snapshots, reason)
        return None if taken is None else taken.head

    def content(self, state: State, path: str) -> bytes | None:
        """The content of a file in a snapshot."""
        folder, _, name = path.rpartition("/")
        kept = self.history.manifest(state).folders[folder].contents[name]
        with self.history.contents() as contents:
            return contents.read(kept)

    def restore(
        self,
        state: State = Fixed.START,
        is_meant: Callable[[Change], bool] = lambda _: True,
        *,
        protected: bool = False,
    ) -> dict[str, str | None]:
        """Restore; return why each path was left, `None` where it was not."""
        plan = Restoration(self.history, self.spec, state, is_meant, protected=protected)
        previewed = {each.path: each for each in plan.preview()}
        done: list[Restored] = plan.carry_out(self.take(RESTORE), None)
        assert {each.path: each for each in done} == previewed
        return {each.path: each.left for each in done}


@pytest.fixture
def snapshotted(tmp_path: Path) -> Snapshotted:
    """A workspace that isn't recorded yet."""
    return new_snapshotted(tmp_path)


def new_snapshotted(folder: Path) -> Snapshotted:
    recorded = new_workspace(folder)
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="x",
        command=("true",),
        workspace=str(recorded.root),
        created_at="2026-01-01T00:00:00Z",
    )
    made = Snapshotted(recorded, spec)
    made.set_rules(Snapshots())
    return made

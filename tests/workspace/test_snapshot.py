"""The snapshot of a workspace before a run, as this version and earlier ones save it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from moat.paths import RunFolder
from moat.workspace import snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox import Sandbox


def as_saved_by_earlier_versions(root: Path) -> str:
    """A snapshot of a fresh repository, word for word as it was written before the fields' new names."""
    config = (root / ".git" / "config").read_text()
    orders = {"config": config, "config.worktree": None, "commondir": None, "gitdir": None}
    before = {
        "root": str(root),
        "orders": {".git": {**orders, "hooks": "\x00"}},
        "pointers": {"sub/.git": "gitdir: ../.git/modules/sub\n"},
        "untouchable": ["secret"],
        "uninvited": ["moat.yaml"],
    }
    return json.dumps([before])


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    return folder


def test_a_snapshot_of_an_earlier_version_is_read(run: RunFolder, repository: Path) -> None:
    """A run outlives an update, and its clean-up is the new version's."""
    run.workspace_snapshot.write_text(as_saved_by_earlier_versions(repository))
    (before,) = snapshot.load(run)
    assert before.root == str(repository)
    assert before.git_folders[".git"]["config.worktree"] is None
    assert before.gitfiles == {"sub/.git": "gitdir: ../.git/modules/sub\n"}
    assert before.unwritable == ["secret"]
    assert before.absent == ["moat.yaml"]


@pytest.mark.parametrize("module", ["moat.engines.planted", "moat.workspace.cleanup"])
def test_a_shim_of_an_earlier_version_has_the_workspace_cleaned(
    run: RunFolder, repository: Path, module: str
) -> None:
    """The command line that it was given at its start still works, with the snapshot of that time."""
    run.workspace_snapshot.write_text(as_saved_by_earlier_versions(repository))
    (repository / ".git" / "commondir").write_text("../fake\n")
    (repository / "moat.yaml").write_text("")
    subprocess.run([sys.executable, "-I", "-m", module, str(run.root)], check=True, cwd="/")
    assert not (repository / ".git" / "commondir").exists()
    assert (repository / ".git" / "commondir.disarmed").read_text() == "../fake\n"
    assert (repository / "moat.yaml.disarmed").exists()
    assert not run.workspace_snapshot.exists()
    assert run.quarantine_report.read_text().splitlines() == [
        f"{repository}/moat.yaml: renamed to moat.yaml.disarmed",
        f"{repository}/.git/commondir: renamed to commondir.disarmed",
    ]


def test_a_snapshot_is_read_as_it_was_saved(run: RunFolder, sandbox: Sandbox) -> None:
    """A folder that has gone since isn't looked for."""
    sandbox.shell("true")
    (before,) = snapshot.load(sandbox.folder)
    assert before.root == str(sandbox.workspace)
    sandbox.workspace.rmdir()
    assert snapshot.load(sandbox.folder) == []
    with pytest.raises(FileNotFoundError):
        snapshot.load(run)

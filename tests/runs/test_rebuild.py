"""A new index made from the folders of the runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.errors import StoreError
from moat.runs.rebuild import rebuild_index
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a store with three runs, one of which has ended, and with a damaged index."""
    home = tmp_path / "home"
    with Store(home) as store:
        for number in range(3):
            store.create(
                RunSpec(
                    id=RunId(f"{number}" * 12),
                    name=f"run-{number}",
                    command=("make",),
                    workspace="/",
                    created_at=f"2026-01-01T00:00:0{number}.000Z",
                )
            )
        ended = store.folder("1" * 12).exits / "main.json"
        ended.write_text(json.dumps({"exit_code": 7}))
    (home / "moat.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError) as raised:
        Store(home)
    assert "--rebuild-index" in (raised.value.hint or "")
    return home


def test_every_run_is_in_the_new_index(damaged: Path) -> None:
    """A run with an exit status on disk has ended; a supervisor finds out about the others."""
    assert rebuild_index(damaged) == (3, [])
    with Store(damaged) as store:
        found = [(row.name, row.state, row.exit_code) for row in store.all()]
    assert found == [
        ("run-2", State.RUNNING, None),
        ("run-1", State.STOPPED, 7),
        ("run-0", State.RUNNING, None),
    ]


def test_the_damaged_index_is_kept(damaged: Path) -> None:
    """A user may want to know what happened to it."""
    rebuild_index(damaged)
    (kept,) = damaged.glob("moat.db.damaged-*")
    assert kept.read_bytes().startswith(b"this is no database")


def test_what_can_not_be_read_is_left_out_and_said(damaged: Path) -> None:
    """A bad folder doesn't cost any other run."""
    (damaged / "runs" / ("0" * 12) / "spec.json").write_text("{")
    (damaged / "runs" / "empty").mkdir()
    count, left_out = rebuild_index(damaged)
    assert count == 2
    assert [folder.rpartition("/")[2] for folder, _ in left_out] == ["0" * 12, "empty"]


def test_doctor_rebuilds_it(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that the error names repairs the index."""
    monkeypatch.setenv("MOAT_HOME", str(damaged))
    assert run(["doctor", "--rebuild-index"]) == 0
    assert "3 runs" in capsys.readouterr().out


def test_of_runs_with_one_name_the_newest_keeps_it(tmp_path: Path) -> None:
    """A specification has the name of the start, which another run may have taken since."""
    home = tmp_path / "home"
    with Store(home) as store:
        for number in range(2):
            spec = RunSpec(
                id=RunId(f"{number}" * 12),
                name="fix",
                command=("make",),
                workspace="/",
                created_at=f"2026-01-01T00:00:0{number}.000Z",
            )
            store.create(spec)
            store.update(spec.id, state=State.STOPPED)
            store.rename_ended(spec.id, f"fix-{number}")
    assert rebuild_index(home) == (2, [])
    with Store(home) as store:
        assert [row.name for row in store.all()] == ["fix", f"fix-{'0' * 12}"]

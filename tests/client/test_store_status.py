"""The store at a glance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.cli.plain.status import lines, size
from moat.client.store_status import read_status
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATES = (State.RUNNING, State.STOPPED, State.STOPPED, State.FAILED)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Four runs, one of which goes on and waits; two were measured at their ends."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    with Store() as store:
        for number, state in enumerate(STATES):
            spec = RunSpec(
                id=RunId(f"{number:012x}"),
                name=f"run-{number}",
                command=("x",),
                workspace=str(tmp_path),
                created_at="2026-01-01T00:00:00.000Z",
            )
            store.create(spec)
            store.update(spec.id, state=state)
        store.update("000000000000", waits_for="permission")
        for number in (1, 2):
            store.update(f"{number:012x}", journal_bytes=1000, record_bytes=200, other_bytes=30)
        yield store


def test_runs_are_counted_and_their_sizes_added_up(store: Store) -> None:
    """Runs that were measured at their ends count, and runs that have to be measured now."""
    (store.folder("000000000000").journal / "large").write_bytes(bytes(100_000))
    status = read_status(store, everything=True)
    assert status.states == {"running": 1, "stopped": 2, "failed": 1}
    assert status.waiting == 1
    assert status.disk["journals"] >= 2000 + 100_000
    assert status.complete
    assert (status.loose_folders, status.lost_folders) == (0, 0)
    assert (status.vault, status.spare) == ("none", False)


def test_halves_and_damage_are_seen(store: Store) -> None:
    """A folder in no index, a run without a folder, an entry of the vault that can't be read."""
    store.folder("000000000001").root.rename(store.folder("ffffffffffff").root)
    entries = store.home / "vault" / "entries"
    entries.mkdir(parents=True)
    (entries / "x.json").write_text("nonsense")
    status = read_status(store, everything=True)
    assert (status.loose_folders, status.lost_folders) == (1, 1)
    assert status.vault in {"damaged", "ok"}
    assert any("moat prune --orphans" in text for _, text in lines(status))


def test_both_forms_are_printed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs."""
    assert run(["status"]) == 0
    text = capsys.readouterr().out
    assert "1 running, 2 stopped, 1 failed, 1 wait for you" in text
    assert run(["status", "--json", "--full"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["runs"]["total"] == 4
    assert known["disk"]["total"] == sum(
        count for part, count in known["disk"].items() if part != "total"
    )
    assert known["complete"] is True
    del store


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (1 << 20, "1.0M"), (5 << 30, "5.0G")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    """Two digits are enough."""
    assert size(count) == text

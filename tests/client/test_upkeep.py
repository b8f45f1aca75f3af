"""Removing ended runs beyond the user's bounds, in the background."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.client import upkeep
from moat.client.upkeep import run_pass, start_if_due
from moat.runs import lock
from moat.runs.retention import Retention
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Four runs that have ended one day after the other."""
    with Store(tmp_path / "home") as store:
        for number in range(4):
            spec = RunSpec(
                id=RunId(f"{number:012x}"),
                name=f"run-{number}",
                command=("x",),
                workspace=str(tmp_path),
                created_at="2026-01-01T00:00:00.000Z",
            )
            store.create(spec)
            ended = f"2026-01-0{number + 1}T00:00:00.000Z"
            store.update(spec.id, state=State.STOPPED, stopped_at=ended)
        yield store


def left(store: Store) -> set[str]:
    return {each.name for each in store.all()}


def test_what_is_beyond_the_bounds_is_removed(store: Store) -> None:
    """The oldest runs go first."""
    assert run_pass(store.home, Retention(runs=2)) == 2
    assert left(store) == {"run-2", "run-3"}
    assert run_pass(store.home, Retention(runs=2)) == 0


def test_a_pass_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one goes on."""
    monkeypatch.setattr(upkeep, "AT_ONCE", 1)
    assert run_pass(store.home, Retention(runs=0)) == 1
    assert left(store) == {"run-1", "run-2", "run-3"}


def test_what_the_user_has_to_read_stays(store: Store) -> None:
    """A run of which something was quarantined, or whose workspace nobody has looked at."""
    store.folder("000000000000").quarantine_report.write_text("a hook was put aside")
    store.folder("000000000001").workspace_snapshot.write_text("[]")
    run_pass(store.home, Retention(runs=0))
    assert left(store) == {"run-0", "run-1"}


def test_what_stays_takes_no_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many copies have changes that nobody has applied, the runs behind them are removed."""
    monkeypatch.setattr(upkeep, "AT_ONCE", 1)
    for number in range(2):
        store.folder(f"{number:012x}").copy.mkdir(parents=True)
    assert run_pass(store.home, Retention(runs=0)) == 1
    assert left(store) == {"run-0", "run-1", "run-3"}


def test_one_pass_is_at_work_at_a_time(store: Store) -> None:
    """Another one leaves everything to it."""
    held = lock.try_lock(store.home / "upkeep.lock")
    assert held is not None
    assert run_pass(store.home, Retention(runs=0)) == 0
    os.close(held)
    assert len(left(store)) == 4


def test_no_pass_begins_that_is_not_due(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bounds, or within an hour of the last one."""
    started: list[list[str]] = []
    monkeypatch.setattr(
        upkeep.os, "posix_spawn", lambda _program, words, *_rest, **_more: started.append(words)
    )
    start_if_due(store.home, Retention())
    assert started == []
    start_if_due(store.home, Retention(runs=1))
    assert started[0][-1] == "[null, 1, null]"
    run_pass(store.home, Retention(runs=1))
    start_if_due(store.home, Retention(runs=1))
    assert len(started) == 1
    os.utime(store.home / "upkeep.lock", (0, 0))
    start_if_due(store.home, Retention(runs=1))
    assert len(started) == 2


def test_a_clock_that_was_ahead_ends_no_upkeep(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that began in the future doesn't put off the next one until then."""
    started: list[object] = []
    monkeypatch.setattr(upkeep.os, "posix_spawn", lambda *words, **_: started.append(words))
    run_pass(store.home, Retention(runs=4))
    os.utime(store.home / "upkeep.lock", (2**32, 2**32))
    start_if_due(store.home, Retention(runs=4))
    assert len(started) == 1

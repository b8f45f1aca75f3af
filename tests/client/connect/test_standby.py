"""The supervisor that is started before its run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.client.connect import standby
from moat.runs import lock
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from moat.runs.store import Store


def test_it_leaves_nothing_where_no_run_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line that was wrong: the supervisor ends when its pipe closes."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    waiting = standby.begin()
    os.close(waiting._go)
    waiting.wait()
    assert not (tmp_path / "home").exists()


def test_a_word_that_nobody_hears_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that died while it loaded is replaced by whoever connects to the run."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    waiting = standby.begin()
    copy = standby.Standby(waiting.run_id, os.dup(waiting._go), waiting._ready)
    waiting.go()  # of a run that does not exist
    copy.wait()
    copy.go()


def test_one_that_is_too_late_leaves(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was stopped meanwhile, say, so that its client has started another for the run."""
    monkeypatch.setenv("MOAT_HOME", str(store.home))
    waiting = standby.begin()
    spec = RunSpec(
        id=RunId(waiting.run_id),
        name="x",
        command=("true",),
        workspace="/",
        created_at="2026-01-01",
    )
    store.create(spec)
    folder = store.folder(spec.id)
    with lock.locked(folder.supervisor_lock):
        waiting.go()
        waiting.wait()
        with lock.locked(folder.launch_lock, within=10):
            assert not folder.supervisor_log.read_text()

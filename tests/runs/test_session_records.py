"""The sessions of a run, from what is on disk alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moat.errors import StoreError, UsageError
from moat.runs import session_records
from moat.runs.session_records import SessionRecord
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moat.paths import RunFolder
    from moat.runs.store import Run

ID = RunId("0123456789ab")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        spec = RunSpec(
            id=ID, name="x", command=("claude",), workspace="/", created_at="2026-01-01T00:00:00Z"
        )
        store.create(spec)
        store.update(ID, state=State.RUNNING)
        yield store


@pytest.fixture
def run(store: Store) -> Run:
    return store.get(ID)


@pytest.fixture
def folder(store: Store) -> RunFolder:
    return store.folder(ID)


def ended(folder: RunFolder, name: str, code: int) -> None:
    (folder.exits / f"{name}.json").write_text(json.dumps({"exit_code": code}))


def test_a_session_is_found_with_what_was_recorded(
    store: Store, run: Run, folder: RunFolder
) -> None:
    """Its command, its terminal and its input are known while it runs and when it has ended."""
    record = SessionRecord(("vim", "a"), tty=True, interactive=True, started_at="2026-01-01T")
    session_records.write(folder, "exec-1", record)
    found = session_records.find(store, run, "exec-1")
    assert (found.reference, found.command, found.tty) == ("x/exec-1", ("vim", "a"), True)
    assert (found.state, found.ended, found.exit_code) == ("running", False, None)
    ended(folder, "exec-1", 3)
    found = session_records.find(store, run, "exec-1")
    assert (found.state, found.ended, found.exit_code) == ("stopped", True, 3)


def test_all_sessions_in_the_order_of_their_start(
    store: Store, run: Run, folder: RunFolder
) -> None:
    """The run's own command is the first, and exec-10 comes after exec-2."""
    for number in (10, 2, 1):
        session_records.write(folder, f"exec-{number}", SessionRecord())
    names = [each.name for each in session_records.sessions(store, run)]
    assert names == ["main", "exec-1", "exec-2", "exec-10"]


def test_a_session_whose_sandbox_is_gone_is_lost(store: Store, folder: RunFolder) -> None:
    """Without an exit status nobody knows how it ended."""
    session_records.write(folder, "exec-1", SessionRecord())
    store.update(ID, state=State.LOST)
    assert session_records.find(store, store.get(ID), "exec-1").state == "lost"


def test_a_session_that_never_began_has_failed(store: Store, run: Run, folder: RunFolder) -> None:
    """Its reason is kept."""
    session_records.write(folder, "exec-1", SessionRecord(error="no such file"))
    found = session_records.find(store, run, "exec-1")
    assert (found.state, found.ended, found.error) == ("failed", True, "no such file")


def test_a_session_of_an_earlier_version_is_found(
    store: Store, run: Run, folder: RunFolder
) -> None:
    """It has a journal and an exit status, and no record."""
    (folder.journal / "exec-1").mkdir()
    ended(folder, "exec-1", 0)
    found = session_records.find(store, run, "exec-1")
    assert (found.state, found.command, found.interactive) == ("stopped", (), True)


def test_there_is_no_such_session(store: Store, run: Run) -> None:
    """The error says where to see those that there are."""
    with pytest.raises(UsageError, match="run x has no session 'exec-1'") as caught:
        session_records.find(store, run, "exec-1")
    assert "moat list" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["exits", "sessions"])
def test_a_damaged_file_is_named(store: Store, run: Run, folder: RunFolder, name: str) -> None:
    """What can't be read is an error, not a guess."""
    session_records.write(folder, "exec-1", SessionRecord())
    (getattr(folder, name) / "exec-1.json").write_text("{")
    with pytest.raises(StoreError, match="exec-1"):
        session_records.find(store, run, "exec-1")

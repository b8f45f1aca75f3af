"""The index of runs, of this version and of all others.

`corpus` has a real `moat.db` of each version, never changed, with a run of which every column is set and
one that was just created. A new step in `index.STEPS` comes with a file of the version that it leads to:
make the two runs in a `Store`, close it, and copy its `moat.db`.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from moat.errors import StoreError
from moat.runs import index
from moat.runs.states import State
from moat.runs.store import Run, Store
from moat.spec import RunId, RunSpec

CORPUS = Path(__file__).parent / "corpus"
EARLIER = sorted(CORPUS.glob("moat-*.db"))

PORT = {
    "name": "web",
    "port": 3000,
    "address": "127.0.0.1",
    "host_port": 40123,
    "url": "http://127.0.0.1:40123",
}
NEXT_STEP = (
    "ALTER TABLE runs ADD COLUMN mood TEXT NOT NULL DEFAULT ''",
    "UPDATE runs SET mood = json_object('viewers', viewers)",
)
SPEC = RunSpec(
    id=RunId("0123456789ab"),
    name="fix-the-tests",
    command=("true",),
    workspace="/",
    created_at="2026-01-01T00:00:00.000Z",
)


def version_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def columns(path: Path) -> set[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
        return {row[1] for row in db.execute("PRAGMA table_info(runs)")}


def full(version: int) -> Run:
    """Return the row of the corpus in which every column of the version is set."""
    return Run(
        id=RunId("0123456789ab"),
        name="fix-the-tests",
        state=State.STOPPED,
        exit_code=3,
        error="the disk is full",
        engine="another",
        command=("printf", "grüß dich"),
        workspace="/srv/app",
        interactive=True,
        tty=True,
        created_at="2026-11-23T08:09:10.123Z",
        started_at="2026-11-23T08:09:11.000Z",
        stopped_at="2026-11-23T09:00:00.000Z",
        pid=4321,
        supervisor_pid=4319,
        supervisor_version="0.1.0",
        viewers=2,
        waiting="api.example.com:443 db.example.com:5432" if version >= 2 else "",
        ports=(PORT,) if version >= 4 else (),
        waits_for="permission" if version >= 5 else "",
        imported_at="2026-11-24T10:00:00.000Z" if version >= 7 else None,
        engine_data={"shim": {"pid": 4320}},
    )


def minimal(version: int) -> Run:
    """Return the row of the corpus of a run that was just created."""
    return Run(
        id=RunId("ba9876543210"),
        name="plain",
        state=State.CREATED,
        exit_code=None,
        error=None,
        engine="bubblewrap",
        command=("true",),
        workspace="/srv/plain",
        interactive=False,
        tty=False,
        created_at="2026-11-23T07:00:00.000Z",
        started_at=None,
        stopped_at=None,
        pid=None,
        supervisor_pid=None,
        supervisor_version=None,
        viewers=0,
        waiting="",
        ports=(),
        waits_for="",
        imported_at=None,
        engine_data={} if version >= 3 else {"shim": {"pid": None}},
    )


def test_the_corpus_has_every_version_up_to_this() -> None:
    """Hint: see the top of this file."""
    assert [version_of(path) for path in EARLIER] == list(range(1, len(index.STEPS) + 1))


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.name)
def test_an_index_of_every_version_is_read_and_written(path: Path, tmp_path: Path) -> None:
    """Nothing in it is lost, and another process may open it at the same time."""
    shutil.copy(path, tmp_path / "moat.db")
    rows = [full(version_of(path)), minimal(version_of(path))]
    with Store(tmp_path) as one, Store(tmp_path) as other:
        assert one.all() == other.all() == rows
        assert one.find("fix-the-tests").as_json()["shim"] == {"pid": 4320}
        one.update(rows[1].id, waiting="a.test:443 b.test:80")
        assert other.get(rows[1].id).as_json()["waiting"] == ["a.test:443", "b.test:80"]


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.name)
def test_an_index_that_is_brought_up_to_date_is_like_a_new_one(path: Path, tmp_path: Path) -> None:
    """No earlier column is gone, because supervisors of that version are alive and write theirs."""
    shutil.copy(path, tmp_path / "moat.db")
    Store(tmp_path).__exit__()
    Store(tmp_path / "new").__exit__()
    assert columns(path) <= columns(tmp_path / "moat.db") == columns(tmp_path / "new" / "moat.db")


def test_a_supervisor_of_before_goes_on_beside_a_new_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the file open while the step is taken, and goes on with the columns that it knows."""
    with Store(tmp_path) as older:
        older.create(SPEC)
        older.update(SPEC.id, viewers=3)
        monkeypatch.setattr(index, "STEPS", (*index.STEPS, NEXT_STEP))
        with closing(index.connect(tmp_path / "moat.db")) as newer:
            assert newer.execute("SELECT mood FROM runs").fetchall() == [('{"viewers":3}',)]
            older.update(SPEC.id, viewers=4, shim_pid=7)
            assert newer.execute("SELECT viewers, shim_pid FROM runs").fetchall() == [(4, 7)]
            assert older.get(SPEC.id).viewers == 4


def test_a_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither some of its statements nor the version remain, so the earlier Moat can still be used."""
    with Store(tmp_path) as store:
        store.create(SPEC)
    before = columns(tmp_path / "moat.db")
    monkeypatch.setattr(index, "STEPS", (*index.STEPS, (*NEXT_STEP, "UPDATE absent SET a = 1")))
    with pytest.raises(StoreError, match="no such table: absent"):
        index.connect(tmp_path / "moat.db")
    monkeypatch.undo()
    assert columns(tmp_path / "moat.db") == before
    with Store(tmp_path) as store:
        assert store.find(None).name == SPEC.name


def test_an_index_of_a_newer_moat_is_left_alone(tmp_path: Path) -> None:
    """Its columns may mean anything, so the error is one line and no byte is changed."""
    Store(tmp_path).__exit__()
    path = tmp_path / "moat.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(index.STEPS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer") as caught:
        Store(tmp_path)
    assert (caught.value.summary.count("\n"), caught.value.hint) == (0, "Update moat")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("moat.db")] == [
        "moat.db"
    ]

"""An exported run in another store: all of it is there, or nothing is."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.archive.exported import (
    CHANGES,
    ID,
    PASSWORD,
    TOKEN,
    ended_run,
    exported,
    members_of,
    zip_of,
)

from moat.archive.reading import import_run
from moat.egress.traffic.reader import Filter, TrafficReader
from moat.errors import MoatError, NameTakenError, StoreError, UsageError
from moat.runs import imported, rebuild, session_records
from moat.runs.event_reader import EventReader
from moat.runs.states import State
from moat.runs.store import Store
from moat.session.journal.index import Header, Resized, encode, encode_header
from moat.spec import TerminalSize
from moat.workspace.frozen_changes import changes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HUGE = TerminalSize(65535, 65535)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return exported(tmp_path_factory.mktemp("store") / "home")


@pytest.fixture
def file(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "fix.zip"
    path.write_bytes(data)
    return path


def everything(home: Path) -> set[str]:
    """Return what is in a store, but for its index."""
    found = {str(each.relative_to(home)) for each in home.rglob("*")}
    return {each for each in found if not each.startswith("moat.")} - {"runs"}


def test_an_imported_run_is_what_was_exported(file: Path, tmp_path: Path) -> None:
    """Every reader finds it, and it has ended here as it had there."""
    with Store(tmp_path / "home") as store:
        run = import_run(store, file)
        folder = store.folder(run.id)
        assert (run.id, run.name, run.state, run.exit_code) == (ID, "fix", State.STOPPED, 3)
        assert run.imported_at is not None
        assert store.disk_use()[ID] is not None
        assert (folder.journal / "main" / "00000000.stdout").read_bytes() == b"hello\n"
        assert [each["event"] for each in EventReader(folder.events).read()] == [
            "state_changed",
            "input_sent",
        ]
        sessions = [each.name for each in session_records.sessions(store, run)]
        assert sessions == ["main", "exec-1"]
        with TrafficReader(folder.database) as reader:
            [(row, captured)] = reader.captured(reader.rows(Filter(), 0.0))
            assert (row.url, row.status, row.total) == ("https://example.com/", 200, 0.25)
            assert captured.response_body == b"\x00ok!"
            assert reader.counts() == {"dropped": 0, "lost": 0}
        with changes_of(folder, ended=True) as (changes, _):
            assert changes == CHANGES
        modes = {stat.S_IMODE(each.lstat().st_mode) for each in folder.root.rglob("*")}
        assert modes == {0o600, 0o700}


def test_no_credential_is_in_the_file(data: bytes) -> None:
    """Neither a value that the user passed, nor a password, nor the key of the run's authority."""
    members = members_of(data)
    text = b"".join(members.values())
    assert not any(each.encode() in text for each in (TOKEN, PASSWORD, "PRIVATE KEY"))
    assert not any(name.endswith(".screen") for name in members), "the state of an emulator stays"
    assert json.loads(members["run.json"])["masked"]


def test_an_imported_run_can_be_exported_again(file: Path, data: bytes, tmp_path: Path) -> None:
    """And is the same file then, but for what was written in another form."""
    with Store(tmp_path / "home") as store:
        import_run(store, file)
        run = store.get(ID)
        again = tmp_path / "again.zip"
        from moat.archive import writing  # noqa: PLC0415

        with again.open("wb") as output:
            assert writing.write(output, store, run), "the masked values are still masked"
    assert members_of(again.read_bytes()) == members_of(data)


def test_a_run_that_is_there_already_is_left_alone(file: Path, tmp_path: Path) -> None:
    """Nothing of it is replaced: it may be the one whose record somebody wants to be rid of."""
    home = tmp_path / "home"
    ended_run(home)
    before = everything(home)
    with Store(home) as store:
        with pytest.raises(StoreError, match="in the store already"):
            import_run(store, file)
        assert store.get(ID).imported_at is None
    assert everything(home) == before


def test_a_folder_without_a_row_is_left_alone(file: Path, tmp_path: Path) -> None:
    """It may be a run of an index that was lost."""
    home = tmp_path / "home"
    with Store(home) as store:
        kept = store.folder(ID).root
        kept.mkdir(parents=True)
        (kept / "file").touch()
        with pytest.raises(StoreError, match="in the store already"):
            import_run(store, file)
    with Store(home):
        assert (kept / "file").exists()


def test_another_name_is_taken_where_the_own_one_is_in_use(file: Path, tmp_path: Path) -> None:
    """Without one, the import is refused as a whole."""
    from dataclasses import replace  # noqa: PLC0415

    from tests.archive.exported import SPEC  # noqa: PLC0415

    home = tmp_path / "home"
    with Store(home) as store:
        store.create(replace(SPEC, id="ba9876543210"))
        before = everything(home)
        with pytest.raises(NameTakenError):
            import_run(store, file)
        assert everything(home) == before
        assert import_run(store, file, "other").name == "other"


def test_a_rebuilt_index_has_it_as_ended(file: Path, tmp_path: Path) -> None:
    """A supervisor must never be started for what a stranger has specified."""
    home = tmp_path / "home"
    with Store(home) as store:
        before = import_run(store, file)
        (store.folder(ID).exits / "main.json").unlink()
    assert rebuild.rebuild_index(home) == (1, [])
    with Store(home) as store:
        assert store.get(ID) == before


def test_a_mark_that_says_it_runs_is_damaged(file: Path, tmp_path: Path) -> None:
    """An index is not rebuilt by it."""
    with Store(tmp_path / "home") as store:
        import_run(store, file)
        folder = store.folder(ID)
        mark = json.loads(folder.imported.read_text()) | {"state": "running"}
        folder.imported.write_text(json.dumps(mark))
        with pytest.raises(ValueError, match="can't be running"):
            imported.read(folder)


def test_it_is_no_run_of_this_machine(file: Path, tmp_path: Path) -> None:
    """Commands that act in a workspace ask for that first."""
    with Store(tmp_path / "home") as store:
        run = import_run(store, file)
    with pytest.raises(MoatError, match="run fix was imported: no workspace"):
        imported.check_own(run, "no workspace")
    imported.check_own(run._replace(imported_at=None), "no workspace")


# --- hostile files ---


def spec_with(**fields: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["spec.json"] = json.dumps(json.loads(members["spec.json"]) | fields).encode()

    return change


def facts_with(**fields: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["run.json"] = json.dumps(json.loads(members["run.json"]) | fields).encode()

    return change


def member(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members[name] = content

    return change


SIZE = {"columns": 10**9, "rows": 10**9}
SIDE = {"mode": 33188, "size": 1, "digest": None, "offset": -1, "length": 0, "target": None}


def changed(**fields: object) -> Callable[[dict[str, bytes]], None]:
    change = {"path": "a", "before": None, "after": SIDE | fields, "generated": None, "late": False}
    value = {"root": "/w", "notes": [], "changes": [change]}
    return member("changes.json", json.dumps(value).encode())


HOSTILE = {
    "an id that leaves the folder": spec_with(id="../../../etc"),
    "another run's specification": spec_with(id="ba9876543210"),
    "a name that is none": facts_with(name="../x"),
    "a run that goes on": facts_with(state="running"),
    "a run that was never begun": facts_with(state="created"),
    "a later format": facts_with(format=2),
    "an exit code that is none": facts_with(exit_code=10**30),
    "a time that is none": facts_with(started_at="yesterday"),
    "a time without a zone": facts_with(started_at="2026-01-01T00:00:00"),
    "a terminal that takes all memory": spec_with(size=SIZE),
    "a scrollback that does": spec_with(scrollback=10**12),
    "a scrollback of bytes that does": spec_with(scrollback_memory=10**15),
    "a field that nobody knows": spec_with(opens_everything=True),
    "a number that is none": member("run.json", b'{"format": NaN}'),
    "a specification nested too deep": member("spec.json", b"[" * 100_000),
    "a path out of the folder": member("../evil", b""),
    "an absolute path": member("/tmp/evil", b""),
    "a session out of the folder": member("journal/../../x/00000000.stdout", b""),
    "a socket's name": member("supervisor.sock", b""),
    "a file that the clean-up obeys": member("trusted.json", b"{}"),
    "a database": member("run.db", b"SQLite format 3\0"),
    "a state of an emulator": member("journal/main/00000000.screen", b""),
    "a folder": member("journal/main/", b""),
    "an index that is none": member("journal/main/00000000.index", b"x" * 40),
    "an index with a terminal that takes all memory": member(
        "journal/main/00000000.index", encode_header(Header(0, 0, HUGE))
    ),
    "a resize that does": member(
        "journal/main/00000000.index",
        encode_header(Header(0, 0, TerminalSize())) + encode(Resized(1.0, HUGE, 0)),
    ),
    "an offset behind all journals": member(
        "journal/main/00000000.index", encode_header(Header(1 << 63, 0, TerminalSize()))
    ),
    "a time behind all times": member(
        "journal/main/00000000.index",
        encode_header(Header(0, 0, TerminalSize())) + encode(Resized(1e10, TerminalSize(), 0)),
    ),
    "an exit status that is none": member("exit/main.json", b'{"exit_code": "0"}'),
    "a session that is none": member("sessions/exec-1.json", b'{"command": 3}'),
    "an event of no kind": member("events.jsonl", b'{"time": "2026-01-01T00:00:00Z"}\n'),
    "an event without its fields": member(
        "events.jsonl", b'{"time": "2026-01-01T00:00:00Z", "event": "fault"}\n'
    ),
    "half an event": member("events.jsonl", b'{"time": "2026-01-01T00:00:00Z"'),
    "a table of the stranger's": member("traffic.jsonl", b'{"sqlite_master": []}\n'),
    "a row that is none": member("traffic.jsonl", b'{"entries": [1]}\n'),
    "a row twice": member("traffic.jsonl", b'{"meta": ["lost", 1]}\n{"meta": ["lost", 1]}\n'),
    "a content beyond the contents": changed(digest="ab" * 32, offset=10, length=10),
    "a content before them": changed(digest="ab" * 32, offset=-5, length=1),
    "a digest that is none": changed(digest="abc"),
    "a mode that is none": changed(mode=-1),
    "an audit log of one line": member("audit.log", b"x" * (17 << 20)),
    "a bomb": member("run.json", b" " * (2 << 20)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_changes_nothing(what: str, data: bytes, tmp_path: Path) -> None:
    """One line says what is wrong with it, and no run, no folder and no mark is left."""
    members = members_of(data)
    HOSTILE[what](members)
    home = tmp_path / "home"
    with Store(home) as store:
        with pytest.raises(UsageError, match="can't be imported") as caught:
            import_run(store, zip_of(tmp_path / "x.zip", members))
        assert caught.value.summary.count("\n") == 0
        assert store.all() == []
    assert everything(home) == set()
    assert {each.name for each in tmp_path.iterdir()} == {"home", "x.zip"}


def test_links_and_pipes_are_no_members(data: bytes, tmp_path: Path) -> None:
    """A zip file can hold a symbolic link, as a mode and a target."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members_of(data).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK if name == "spec.json" else stat.S_IFREG) << 16
            archive.writestr(info, content)
    with Store(tmp_path / "home") as store, pytest.raises(UsageError, match=r"'spec\.json'"):
        import_run(store, path)


def test_many_resizes_are_refused(data: bytes, tmp_path: Path) -> None:
    """An emulator would be busy with them for hours."""
    resize = encode(Resized(1.0, TerminalSize(2000, 2000), 0))
    index = encode_header(Header(0, 0, TerminalSize())) + resize * 100_001
    members = members_of(data) | {"journal/main/00000000.index": index}
    with Store(tmp_path / "home") as store, pytest.raises(UsageError, match="too often"):
        import_run(store, zip_of(tmp_path / "x.zip", members))


def test_a_size_that_is_a_lie_is_found(data: bytes, tmp_path: Path) -> None:
    """The directory says less, or more, than there is."""
    path = zip_of(tmp_path / "x.zip", members_of(data))
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    for size in (1, 100_000):
        struct.pack_into("<L", content, at + 24, size)
        path.write_bytes(content)
        with Store(tmp_path / "home") as store:
            with pytest.raises(UsageError, match="can't be imported"):
                import_run(store, path)
            assert store.all() == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_a_damaged_file_is_refused_or_is_whole(
    edits: list[tuple[int, int]], data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes are changed, the answer is a run or one line, and never a traceback."""
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(data)
    for at, byte in edits:
        content[at % len(content)] = byte
    path = folder / "x.zip"
    path.write_bytes(content)
    with Store(folder / "home") as store:
        try:
            import_run(store, path)
        except MoatError:
            assert store.all() == []
            assert everything(folder / "home") == set()


@pytest.mark.parametrize("cut", [0, 10, 100, -1, -30])
def test_a_file_that_was_cut_is_refused(cut: int, data: bytes, tmp_path: Path) -> None:
    """As a download that broke off."""
    path = tmp_path / "x.zip"
    path.write_bytes(data[:cut])
    with Store(tmp_path / "home") as store, pytest.raises(UsageError):
        import_run(store, path)

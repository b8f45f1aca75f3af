"""The index of runs and their folders."""

from __future__ import annotations

import os
import shutil
import stat
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.followers import commits_seen

from moat.errors import NameTakenError, RunNotFoundError, StoreError
from moat.runs.rebuild import rebuild_index
from moat.runs.states import State
from moat.runs.store import Store
from moat.shim import linux
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def spec(number: int = 1, name: str | None = None) -> RunSpec:
    return RunSpec(
        id=RunId(f"{number:012x}"),
        name=name or f"run-{number}",
        command=("echo", "hi"),
        workspace="/somewhere",
        created_at=f"2026-01-01T00:00:{number:02}.000Z",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as opened:
        yield opened


def test_a_created_run_is_found_in_every_way(store: Store) -> None:
    """The run is found by id, by name, by a prefix of its id and as the newest run."""
    made = store.create(spec())
    assert made.state is State.CREATED
    for reference in (made.id, made.name, made.id[:11], None):
        assert store.find(reference) == made
    assert store.spec(made.id) == spec()


def test_an_ambiguous_beginning_lists_the_candidates(store: Store) -> None:
    """The user sees the runs to choose from."""
    store.create(spec(1))
    store.create(spec(2))
    with pytest.raises(RunNotFoundError, match=r"fits 2 runs: .*run-2.*run-1"):
        store.find("0000")


@pytest.mark.parametrize("reference", ["nope", "%", "_", "", "0000000000010", "'; --"])
def test_an_unknown_run_is_reported(store: Store, reference: str) -> None:
    """SQL's wildcards mean nothing in a reference."""
    store.create(spec())
    with pytest.raises(RunNotFoundError):
        store.find(reference)


def test_a_taken_name_leaves_nothing_behind(store: Store) -> None:
    """Neither a folder nor a row is left."""
    store.create(spec(1, "same"))
    with pytest.raises(NameTakenError, match="same"):
        store.create(spec(2, "same"))
    assert [run.id for run in store.all()] == [spec(1).id]
    assert not store.folder(spec(2).id).root.exists()


def test_only_the_owner_can_read(store: Store) -> None:
    """Folders have mode 0700 and files 0600, whatever the umask."""
    folder = store.folder(store.create(spec()).id)
    assert stat.S_IMODE(store.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    for path in (store.home / "moat.db", folder.spec):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user may watch it, or have prepared it as a trap."""
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(StoreError, match="another user"):
        Store(tmp_path / "home")


def test_a_home_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    """The folder may have been made with a lax umask; it holds no secret yet."""
    (tmp_path / "home").mkdir(mode=0o755)
    Store(tmp_path / "home").__exit__()
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_a_home_that_is_a_file_is_reported(tmp_path: Path) -> None:
    """The error is one line, and its hint names the variable to set."""
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="can't be made") as caught:
        Store(tmp_path / "home")
    assert "MOAT_HOME" in (caught.value.hint or "")


def test_a_damaged_index_names_the_repair_and_is_repaired(tmp_path: Path) -> None:
    """The runs are restored from their folders; a run with an exit status is stopped."""
    with Store(tmp_path) as store:
        ended, unknown = store.create(spec(1)), store.create(spec(2))
        (store.folder(ended.id).exits / "main.json").write_text('{"exit_code": 7, "time": 0}')
    (tmp_path / "moat.db").write_bytes(b"this is no database" * 400)
    (tmp_path / "moat.db-wal").unlink(missing_ok=True)
    with pytest.raises(StoreError) as caught:
        Store(tmp_path)
    assert "moat doctor --rebuild-index" in (caught.value.hint or "")
    assert rebuild_index(tmp_path) == (2, [])
    with Store(tmp_path) as store:
        assert (store.get(ended.id).state, store.get(ended.id).exit_code) == (State.STOPPED, 7)
        assert store.get(unknown.id).state is State.RUNNING


def test_a_damaged_spec_is_reported(store: Store) -> None:
    """The run can still be named and removed."""
    run = store.create(spec())
    store.folder(run.id).spec.write_text('{"version": 99}')
    with pytest.raises(StoreError, match="version 99") as caught:
        store.spec(run.id)
    assert "moat destroy" in (caught.value.hint or "")


def test_words_that_are_no_utf8_survive(store: Store) -> None:
    """The specification keeps every byte of them, and the index a printable form."""
    odd = replace(
        spec(), command=("printf", os.fsdecode(b"\xff")), workspace=os.fsdecode(b"/w\xfe")
    )
    row = store.create(odd)
    assert store.spec(row.id) == odd
    store.update(row.id, error=os.fsdecode(b"no \xff"))
    row = store.find(row.id)
    assert (row.command, row.workspace, row.error) == (("printf", "?"), "/w?", "no ?")
    with pytest.raises(RunNotFoundError):
        store.find(os.fsdecode(b"\xff"))


def test_a_damaged_row_is_reported(store: Store) -> None:
    """A value that Moat never writes is damage to the file, not an internal error."""
    store.create(spec())
    store.update(spec().id, state="dancing")
    with pytest.raises(StoreError, match="damaged") as caught:
        store.all()
    assert "--rebuild-index" in (caught.value.hint or "")


def test_an_index_that_is_damaged_in_the_middle_is_reported(tmp_path: Path) -> None:
    """The file opens, because its first page is intact."""
    with Store(tmp_path) as store:
        store.create(spec())
    index = tmp_path / "moat.db"
    content = index.read_bytes()
    index.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    with Store(tmp_path) as store, pytest.raises(StoreError, match="damaged"):
        store.all()


def test_what_can_t_be_written_is_reported(tmp_path: Path) -> None:
    """The error says what can't be written, where and why: a home, an index, a folder of runs."""
    closed = tmp_path / "closed"
    closed.mkdir()
    Store(closed / "home").__exit__()
    (closed / "home" / "runs").mkdir()
    for folder in (closed / "home" / "runs", closed / "home", closed):
        folder.chmod(0o500)
    (closed / "home" / "moat.db").chmod(0o400)

    def try_everything() -> None:
        with pytest.raises(StoreError, match=r"closed/new can't be made: Permission denied"):
            Store(closed / "new")
        with pytest.raises(StoreError, match=r"index .*moat\.db"):
            Store(closed / "home").create(spec())
        (closed / "home" / "moat.db").chmod(0o600)
        (closed / "home").chmod(0o700)
        with (
            Store(closed / "home") as store,
            pytest.raises(StoreError, match="run-1 can't be written: Permission denied"),
        ):
            store.create(spec())

    unprivileged(try_everything)
    with Store(closed / "home") as store:
        assert store.all() == []


def test_an_interrupted_creation_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or Ctrl-C may come between the folder and the row."""

    def interrupted(_fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.create(spec())
    assert store.all() == []
    assert list((store.home / "runs").iterdir()) == []


def test_a_folder_that_is_gone_is_removed_like_any(store: Store) -> None:
    """A user may have deleted all of it or a part; the row is removed without an error."""
    for number, part in ((1, "private"), (2, "")):
        run = store.create(spec(number))
        shutil.rmtree(store.folder(run.id).root / part)
        store.remove(run.id)
        assert not store.folder(run.id).root.exists()
    assert store.all() == []


def test_a_run_whose_folder_resists_can_still_be_named(store: Store) -> None:
    """The row is deleted after the sandbox's files, so the removal can be tried again."""
    run = store.create(spec())
    private = store.folder(run.id).private
    (private / "home").mkdir()
    private.chmod(0o500)

    def try_to() -> None:
        with pytest.raises(StoreError, match="can't be removed: Permission denied"):
            Store(store.home).remove(run.id)

    unprivileged(try_to)
    assert store.find(run.name).id == run.id
    private.chmod(0o700)
    store.remove(run.id)
    assert store.all() == []


UPDATES = """
import os, sys
from pathlib import Path
from moat.runs.store import Store
with Store(Path(sys.argv[1])) as store:
    run = store.find(None)
    for number in range(1, int(sys.argv[2]) + 1):
        store.update(run.id, viewers=number)
        os.read(0, 1)
"""


def test_a_follower_sees_every_commit(store: Store) -> None:
    """SQLite writes its log before a commit is visible: to be woken by that alone is too early."""
    run = store.create(spec())
    assert commits_seen(store.home, UPDATES, lambda: store.get(run.id).viewers, 1000) == 1000


def unprivileged(act: Callable[[], None]) -> None:
    """Run a function in a process to which file permissions apply, even if root runs the tests."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                linux.drop_privileges()
            act()
            code = 0
        except BaseException:  # noqa: BLE001  the root of a process
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_removal_follows_no_link_of_the_sandboxs(store: Store, tmp_path: Path) -> None:
    """Folders without permissions are deleted all the same."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    run = store.create(spec())
    home = store.folder(run.id).private / "home"
    locked = home / "locked" / "inner"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0)
    (home / "locked").chmod(0)
    (home / "link").symlink_to(outside)
    store.remove(run.id)
    assert not store.folder(run.id).root.exists()
    assert (outside / "kept").exists()
    assert stat.S_IMODE(outside.stat().st_mode) != 0
    with pytest.raises(RunNotFoundError):
        store.get(run.id)


def test_many_processes_make_the_store_at_once(tmp_path: Path) -> None:
    """Each of them can use it, and every run is in it."""
    children: list[int] = []
    go_read, go_write = os.pipe()
    for number in range(1, 9):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(go_write)
                os.read(go_read, 1)
                with Store(tmp_path / "home") as mine:
                    mine.create(spec(number))
                code = 0
            except BaseException:  # noqa: BLE001  the root of a process
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    os.close(go_read)
    os.close(go_write)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    with Store(tmp_path / "home") as store:
        assert len(store.all()) == 8

"""SIGKILL between any two steps of a creation or a removal, and what is left of the run then."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from itertools import count
from typing import TYPE_CHECKING

import pytest

from moat.client.removal import remove_all, remove_loose_folder
from moat.errors import RunNotActiveError, RunNotFoundError
from moat.runs import lock, unfinished
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def spec(number: int) -> RunSpec:
    return RunSpec(
        id=RunId(f"{number:012x}"),
        name=f"run-{number}",
        command=("true",),
        workspace="/w",
        created_at=f"2026-01-01T00:00:{number:02}.000Z",
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store(home) as opened:
        yield opened


def killed_at(step: int, act: Callable[[], None]) -> bool:
    """Act in a process that kills itself before its `step`th system call that Python audits."""
    child = os.fork()
    if child == 0:
        try:
            steps = count(1)

            def kill(event: str, _arguments: object) -> None:
                if event.startswith(("os.", "open", "fcntl.")) and next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(kill)
            act()
        except BaseException:  # noqa: BLE001  the root of a process
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def assert_whole(home: Path) -> set[str]:
    """Check that rows and folders belong together, and return the ids."""
    with Store(home) as store:
        runs = {run.id for run in store.all()}
        folders = {path.name for path in (home / "runs").iterdir()}
        assert runs == folders
        assert [store.spec(each).id for each in sorted(runs)] == sorted(runs)
        assert (store.without_row(), store.without_folder(store.all())) == ([], [])
    leftovers = {path.name for path in home.iterdir() if path.name.startswith(("unf", "rem"))}
    assert leftovers == set()
    return runs


def test_a_creation_leaves_a_run_or_nothing(tmp_path: Path) -> None:
    """Whenever its process is killed: the next one that opens the store finds no half of a run."""
    outcomes: list[bool] = []
    for step in count(1):
        home = tmp_path / str(step)
        with Store(home) as store:
            store.create(spec(1))

        def create(home: Path = home) -> None:
            with Store(home) as store:
                store.create(spec(2))

        killed = killed_at(step, create)
        outcomes.append(spec(2).id in assert_whole(home))
        if not outcomes[-1]:
            create()  # the name is free
            assert len(assert_whole(home)) == 2
        if not killed:
            break
    assert outcomes == sorted(outcomes)
    assert outcomes.count(False) > 8


def test_a_removal_leaves_a_run_or_nothing(tmp_path: Path) -> None:
    """Whenever its process is killed: a run that is half gone is gone, or can be removed again."""
    outcomes: list[bool] = []
    for step in count(1):
        home = tmp_path / str(step)
        with Store(home) as store:
            for number in (1, 2, 3):
                run = store.create(spec(number))
                store.update(run.id, state=State.STOPPED)
                (store.folder(run.id).private / "file").touch()

        def remove(home: Path = home) -> None:
            with Store(home) as store:
                runs = [store.get(spec(number).id) for number in (2, 3)]
                assert [each.error for each in remove_all(store, runs, force=False)] == [None] * 2

        killed = killed_at(step, remove)
        left = assert_whole(home)
        outcomes.append(spec(2).id not in left)
        assert (spec(3).id not in left) == outcomes[-1]  # one transaction
        if not outcomes[-1]:
            remove()
        assert assert_whole(home) == {spec(1).id}
        if not killed:
            break
    assert outcomes == sorted(outcomes)


def test_a_creation_at_work_is_left_alone(store: Store) -> None:
    """Another process that opens the store meanwhile takes it for no leftover."""
    with unfinished.Mark(store.home, spec(1).id) as mark:
        store.folder(spec(1).id).root.mkdir(parents=True)
        with Store(store.home) as other:
            assert other.without_row() == []
        assert store.folder(spec(1).id).root.exists()
        mark.clear()


def test_a_mark_that_was_finished_meanwhile_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making and locking it, another process may find it, and delete it."""
    path = store.home / f"unfinished-{spec(1).id}"
    whole_lock = unfinished.fcntl.flock
    taken: list[int] = []

    def late(fd: int, operation: int) -> None:
        if not taken:
            path.unlink()
        taken.append(fd)
        whole_lock(fd, operation)

    monkeypatch.setattr(unfinished.fcntl, "flock", late)
    with unfinished.Mark(store.home, spec(1).id):
        assert path.exists()
    assert len(taken) == 2


def test_a_run_whose_folder_was_deleted_is_removed_without_force(store: Store) -> None:
    """Nobody can supervise it any more, whatever its row says."""
    run = store.create(spec(1))
    store.update(run.id, state=State.RUNNING)
    shutil.rmtree(store.folder(run.id).root)
    assert [each.name for each in store.without_folder(store.all())] == ["run-1"]
    (removal,) = remove_all(store, store.all(), force=False)
    assert removal.error is None
    assert store.all() == []
    store.create(spec(1))  # the name is free


def test_a_folder_without_a_row_is_named_and_removed(store: Store) -> None:
    """Its index may have been lost, so nothing is deleted unasked."""
    run = store.create(spec(1))
    store.forget([run.id])
    with Store(store.home) as other:
        assert other.without_row() == [run.id]
        remove_loose_folder(other, run.id)
        assert other.without_row() == []
    with pytest.raises(RunNotFoundError):
        remove_loose_folder(store, run.id)


def test_a_folder_whose_supervisor_lives_is_not_removed(store: Store) -> None:
    """It is a run; only the index has lost it."""
    run = store.create(spec(1))
    store.forget([run.id])
    with (
        lock.locked(store.folder(run.id).supervisor_lock),
        pytest.raises(RunNotActiveError, match="supervisor lives") as caught,
    ):
        remove_loose_folder(store, run.id)
    assert "--rebuild-index" in (caught.value.hint or "")


def test_one_run_that_resists_keeps_no_other(store: Store) -> None:
    """Each removal has its own outcome, in the order in which they were named."""
    for number in (1, 2, 3):
        store.update(store.create(spec(number)).id, state=State.STOPPED)
    store.update(spec(2).id, state=State.RUNNING)
    runs = [store.get(spec(number).id) for number in (1, 2, 3)]
    done = list(remove_all(store, runs, force=False))
    assert [each.run.name for each in done] == ["run-1", "run-2", "run-3"]
    assert [type(each.error) for each in done] == [type(None), RunNotActiveError, type(None)]
    assert [run.name for run in store.all()] == ["run-2"]

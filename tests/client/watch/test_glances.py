"""What is to be seen of all runs, as a thread looks at them."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.client.watch import glances
from moat.client.watch.glances import Glances, Snapshot
from moat.client.watch.run_list import RunList
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moat.paths import RunFolder
    from moat.runs.store import Run

TIMEOUT_S = 60
Looking = tuple[Glances, "Callable[[Callable[[Snapshot], bool]], Snapshot]"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    # Nobody supervises these runs, and nobody is to.
    def supervised(_list: RunList, _run: Run) -> bool:
        return False

    monkeypatch.setattr(RunList, "_is_orphan", supervised)
    monkeypatch.setattr(glances, "EVERY_S", 0.01)
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def looking(store: Store) -> Iterator[Looking]:
    found: queue.Queue[Snapshot] = queue.Queue()
    watcher = Glances(store.home, found.put)

    def until(reached: Callable[[Snapshot], bool]) -> Snapshot:
        while not reached(snapshot := found.get(timeout=TIMEOUT_S)):
            pass
        return snapshot

    watcher.start()
    yield watcher, until
    watcher.stop()
    watcher.join()


def _last_of(folder: RunFolder) -> str:
    return f"first\nlast of {folder.id}\n\n"


def add(store: Store, number: int) -> str:
    run_id = f"{number:012x}"
    store.create(
        RunSpec(
            id=RunId(run_id),
            name=f"run-{number}",
            command=("make",),
            workspace="/",
            created_at=f"2026-01-01T00:00:{number:02}.000Z",
        )
    )
    store.update(run_id, state=State.RUNNING)
    (store.folder(run_id).journal / "main").mkdir()
    return run_id


def test_runs_come_and_go(store: Store, looking: Looking) -> None:
    """Each change of the store is a snapshot; what has ended is in it if that is wanted."""
    watcher, until = looking
    until(lambda snapshot: not snapshot.runs)
    first, second = add(store, 1), add(store, 2)
    until(lambda snapshot: [run.id for run in snapshot.runs] == [second, first])
    store.update(first, waits_for="done")
    until(lambda snapshot: [run.waits_for for run in snapshot.runs] == ["", "done"])
    store.update(first, state=State.STOPPED)
    until(lambda snapshot: [run.id for run in snapshot.runs] == [second])
    watcher.show_all(everything=True)
    until(lambda snapshot: len(snapshot.runs) == 2)


def test_the_last_line_is_that_of_the_output(
    store: Store, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many runs each gets its turn."""
    monkeypatch.setattr(glances, "AT_ONCE", 1)
    monkeypatch.setattr(glances, "_tail", _last_of)
    runs = [add(store, number) for number in range(3)]
    for each in runs:
        (store.folder(each).journal / "main" / "output").write_bytes(b"x")
    _, until = looking
    snapshot = until(
        lambda found: sum(bool(each.last_line) for each in found.glances.values()) == 3
    )
    assert {each: glance.last_line for each, glance in snapshot.glances.items()} == {
        each: f"last of {each}" for each in runs
    }


def test_a_store_that_cant_be_read_is_told(tmp_path: Path) -> None:
    """As the last snapshot."""
    (tmp_path / "home").write_text("no folder")
    found: queue.Queue[Snapshot] = queue.Queue()
    Glances(tmp_path / "home", found.put).start()
    assert found.get(timeout=TIMEOUT_S).error


def test_nothing_is_left_open(store: Store) -> None:
    """A server looks for as long as somebody watches, again and again."""

    def look() -> int:
        """Looks for a moment; the number of descriptors afterwards."""
        watcher = Glances(store.home, lambda _: None)
        watcher.start()
        watcher.stop()
        watcher.join()
        watcher.show_all(everything=True)  # too late, and no error
        return len(list(Path("/proc/self/fd").iterdir()))

    before = look()
    assert [look() for _ in range(3)] == [before] * 3

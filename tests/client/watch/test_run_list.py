"""The list of runs, watched: true at every change, with nobody asking."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.watch.run_list import RunList
from moat.errors import SupervisorError
from moat.runs.states import State

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

    from moat.runs.store import Run, Store

SUPERVISOR = """
import sys
from pathlib import Path
from moat.runs import lock
lock.try_lock(Path(sys.argv[1]))
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def supervised(store: Store, run: Run) -> Generator[subprocess.Popen[bytes]]:
    """A process that holds the supervisor's lock and has its pid in the row. Nobody reaps it."""
    lock = store.folder(run.id).supervisor_lock
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        store.update(run.id, supervisor_pid=process.pid)
        yield process


def test_a_row_that_is_written_is_shown(store: Store, run: Run) -> None:
    """The first list comes at once, each further one with a change."""
    with supervised(store, run), closing(RunList(store, ended=True).watch()) as lists:
        assert [each.viewers for each in next(lists)] == [0]
        store.update(run.id, viewers=2)
        assert [each.viewers for each in next(lists)] == [2]


def test_a_supervisor_that_is_killed_gets_a_successor(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its death writes nothing: the list is woken by the end of the process itself."""

    def adopt(_: RunList, orphan: Run) -> None:
        store.update(orphan.id, state=State.LOST)

    monkeypatch.setattr(RunList, "_adopt", adopt)
    with supervised(store, run) as process, closing(RunList(store, ended=True).watch()) as lists:
        (shown,) = next(lists)
        assert shown.state is State.RUNNING
        process.kill()
        (shown,) = next(lists)
        assert shown.state is State.LOST


def test_a_supervisor_that_can_not_be_started_is_tried_once(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason stays in the list; the next change of any run does not start it again."""
    tries: list[str] = []

    def get(*_: object, **__: object) -> None:
        tries.append("started")
        raise SupervisorError("it ended before it could answer")

    monkeypatch.setattr(SupervisorClient, "get", get)
    with supervised(store, run) as process, closing(RunList(store, ended=True).watch()) as lists:
        next(lists)
        process.kill()
        assert [each.error for each in next(lists)] == ["it ended before it could answer"]
        store.update(run.id, viewers=1)
        (shown,) = next(lists)
        assert (shown.error, shown.viewers) == ("it ended before it could answer", 1)
    assert tries == ["started"]

"""The choice between the workspace and a copy of it, and runs added with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config.compile import HostContext, RunOptions
from moat.config.creation import create_run
from moat.config.settings import Settings
from moat.config.workspace_mode import NewRun, place_of_copy
from moat.errors import MoatError, NameTakenError, UsageError
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Copier:
    """Notes what is to be copied."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.filled: list[str] = []
        self.failure: MoatError | None = None

    def place(self, run_id: str) -> str:
        return str(self.home / "runs" / run_id / "workspace")

    def fill(self, spec: RunSpec) -> None:
        self.filled.append(spec.name)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def copier(store: Store) -> Copier:
    return Copier(store.home)


COPY, BIND = {"mode": "copy"}, {"mode": "bind"}


@pytest.mark.parametrize(
    ("asked", "files", "copied"),
    [
        (None, ({}, {}), False),
        (None, (COPY, {}), True),
        (None, ({}, COPY), True),
        (None, (COPY, BIND), True),
        (None, (BIND, COPY), True),
        (None, (BIND, {}), False),
        (True, ({}, BIND), True),
        (False, (COPY, COPY), False),
    ],
)
def test_one_file_that_asks_for_a_copy_is_enough(
    copier: Copier, asked: bool | None, files: tuple[dict[str, str], ...], copied: bool
) -> None:
    """A project can't take the user's copies away; the command line decides."""
    assert place_of_copy(asked, files, copier, "a") == (copier.place("a") if copied else "")


def test_a_program_that_copies_nothing_says_so() -> None:
    """Instead of giving the run the workspace itself."""
    with pytest.raises(UsageError):
        place_of_copy(True, (), None, "a")


def spec(name: str) -> RunSpec:
    return RunSpec(
        id=RunId("00000000000a"),
        name=name,
        command=("true",),
        workspace="/",
        copy="/x",
        created_at="",
    )


def test_a_name_that_is_taken_costs_no_second_copy(store: Store, copier: Copier) -> None:
    """The run gets another one."""
    store.create(RunSpec(id=RunId("b"), name="taken", command=("a",), workspace="/", created_at=""))
    with NewRun(store, copier) as new:
        with pytest.raises(NameTakenError):
            new.add(spec("taken"))
        new.add(spec("free"))
    assert copier.filled == ["taken"]
    assert store.get("00000000000a").name == "free"
    assert store.spec("00000000000a").name == "free"


def test_nothing_is_left_of_a_copy_that_failed(
    store: Store, copier: Copier, tmp_path: Path
) -> None:
    """Neither a folder nor a row."""
    copier.failure = MoatError("no room")
    (tmp_path / "project").mkdir()
    options = RunOptions(path=str(tmp_path / "project"), command=("true",), name="x", copy=True)
    with pytest.raises(MoatError, match="no room"):
        create_run(store, options, Settings(), HostContext(copier=copier))
    assert list((store.home / "runs").iterdir()) == []
    assert store.all() == []
    assert not list(store.home.glob("unfinished-*"))


def test_a_run_with_a_copy_keeps_its_workspace(
    store: Store, copier: Copier, tmp_path: Path
) -> None:
    """By it, what the user has agreed to and what agents keep are found."""
    (tmp_path / "project").mkdir()
    options = RunOptions(path=str(tmp_path / "project"), command=("true",), copy=True)
    run = create_run(store, options, Settings(), HostContext(copier=copier))
    made = store.spec(run.id)
    assert made.workspace == str(tmp_path / "project")
    assert made.copy == made.work_folder == copier.place(run.id)
    assert copier.filled == [run.name]

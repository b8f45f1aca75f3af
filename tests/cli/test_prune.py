"""`moat prune`: which runs it removes, and when it asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from moat import timestamps
from moat.cli import left_by_engines
from moat.cli.main import run
from moat.engines.container.images import MadeImage
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import Container, RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with a run of each kind, all of them old."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    with Store() as store:
        states = (State.STOPPED, State.FAILED, State.LOST, State.RUNNING)
        for number, state in enumerate(states):
            spec = RunSpec(
                id=RunId(f"{number:012x}"),
                name=str(state),
                command=("x",),
                workspace=str(tmp_path),
                created_at="2026-01-01T00:00:00.000Z",
            )
            store.create(spec)
            store.update(spec.id, state=state)
        yield store


def left(store: Store) -> set[str]:
    return {each.name for each in store.all()}


def test_only_runs_that_have_ended_are_removed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever its state was in the end, a run that is over goes, and one that isn't stays."""
    assert run(["prune", "--yes"]) == 0
    assert left(store) == {"running"}
    assert set(capsys.readouterr().out.split()) == {"stopped", "failed", "lost"}
    assert run(["prune", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().err


def test_a_damaged_run_with_a_copy_stays_and_holds_up_no_other(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can tell what its copy has, so it is removed by force alone."""
    folder = store.folder("000000000000")
    folder.copy.mkdir(parents=True)
    folder.spec.write_text('{"id":')
    assert run(["prune", "--yes"]) == 0
    assert left(store) == {"stopped", "running"}
    assert "stopped stays: its copy has changes" in capsys.readouterr().err
    assert run(["destroy", "stopped"]) != 0
    assert "moat destroy -f stopped" in capsys.readouterr().err
    assert run(["destroy", "-f", "stopped"]) == 0


def test_filters_and_a_dry_run(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run lists what the filters select, and removes nothing."""
    assert run(["prune", "--filter", "state=failed", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "failed" in out
    assert "stopped" not in out
    assert len(left(store)) == 4
    assert run(["prune", "--filter", "state=failed", "-y"]) == 0
    assert left(store) == {"stopped", "lost", "running"}
    assert run(["prune", "--filter", "until=900000d", "-y"]) == 0
    assert len(left(store)) == 3


def test_nothing_is_removed_where_nobody_can_be_asked(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal a script has to say --yes."""
    assert run(["prune"]) == 2
    assert "moat prune --dry-run" in capsys.readouterr().err
    assert len(left(store)) == 4


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        ((), {"old", "of a run of long ago"}),
        (("--images",), {"old", "new", "of a run of long ago", "of a run that has ended"}),
    ],
)
def test_images_that_no_run_uses(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    removed: set[str],
) -> None:
    """What is new, or was used lately, stays unless all are to go; what a run has now stays always."""
    runs = {
        "of a run of long ago": (State.STOPPED, "2026-01-01T00:00:00.000Z"),
        "of a run that has ended": (State.STOPPED, timestamps.now()),
        "of a run that lives": (State.RUNNING, "2026-01-01T00:00:00.000Z"),
    }
    for number, (image, (state, created)) in enumerate(runs.items()):
        spec = RunSpec(
            id=RunId(f"{number:011x}f"),
            name=f"n{number}",
            command=("x",),
            workspace=str(tmp_path),
            created_at=created,
            engine="docker",
            container=Container(image=image),
        )
        store.create(spec)
        store.update(spec.id, state=state)
    made = [MadeImage("docker", each, "", 0, 0) for each in (*runs, "old")]
    made.append(MadeImage("docker", "new", "", int(time.time()), 0))

    def remove_images(home: Path, is_used: Callable[[MadeImage], bool]) -> list[str]:
        assert home == store.home
        return [each.reference for each in made if not is_used(each)]

    monkeypatch.setattr(left_by_engines, "remove_images", remove_images)
    assert run(["prune", "--yes", *options]) == 0
    told = capsys.readouterr().err
    assert {
        each.reference for each in made if f"the image {each.reference}, which" in told
    } == removed


# --- bounds ---


def _end(store: Store) -> None:
    """Let the runs that have ended end one day after the other, the first one long ago."""
    for number in range(3):
        store.update(f"{number:012x}", stopped_at=f"2026-01-0{number + 1}T00:00:00.000Z")
        store.update(f"{number:012x}", journal_bytes=1000, record_bytes=0, other_bytes=0)


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        (["--keep", "1"], {"lost"}),
        (["--max-size", "2500"], {"lost", "failed"}),
        (["--older-than", "900000d"], {"lost", "failed", "stopped"}),
        (["--older-than", "1d", "--keep", "2"], set[str]()),
        (["--keep", "0", "--filter", "state=failed"], {"lost", "stopped"}),
    ],
)
def test_bounds_choose_the_oldest(store: Store, options: list[str], stays: set[str]) -> None:
    """A run that goes on is never among them."""
    _end(store)
    assert run(["prune", "--yes", *options]) == 0
    assert left(store) == {"running"} | stays


def test_orphans_are_removed_and_nothing_else(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders in no index, runs whose folders are gone, what is left of a removal."""
    loose = store.folder("ffffffffffff")
    store.folder("000000000000").root.rename(loose.root)
    rest = store.home / "removed-eeeeeeeeeeee"
    rest.mkdir()
    (store.home / "heads").mkdir(exist_ok=True)
    (store.home / "heads" / "dddddddddddd").write_text("x")
    assert run(["prune", "--orphans", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "the folder ffffffffffff" in shown
    assert "the run stopped, whose folder is gone" in shown
    assert str(rest) in shown
    assert loose.root.exists()
    assert run(["prune", "--orphans", "--yes"]) == 0
    assert left(store) == {"failed", "lost", "running"}
    assert not loose.root.exists()
    assert not rest.exists()
    assert not (store.home / "heads" / "dddddddddddd").exists()
    assert run(["prune", "--orphans", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().err

"""Volumes in a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.runs.test_store import spec

from moat.errors import UsageError
from moat.runs import project_folders
from moat.runs.states import State
from moat.runs.store import Store
from moat.runs.volumes import remove, users, volume_folder, volumes
from moat.spec import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as opened:
        yield opened


def make(store: Store, project: str, name: str) -> str:
    folder = volume_folder(store.home, project, name)
    project_folders.prepare(Path(folder), project)
    return folder


def test_a_volume_belongs_to_a_project(store: Store) -> None:
    """Two projects have two of the same name."""
    one, other = make(store, "/one", "cache"), make(store, "/other", "cache")
    assert one != other
    assert [(each.project, each.name, str(each.path)) for each in volumes(store.home)] == [
        ("/one", "cache", one),
        ("/other", "cache", other),
    ]


def test_a_volume_is_removed_unless_a_run_uses_it(store: Store) -> None:
    """One that has ended doesn't, whatever it has left there."""
    folder = make(store, "/one", "cache")
    (Path(folder) / "link").symlink_to("/etc")
    (volume,) = volumes(store.home)
    run = store.create(replace(spec(), volumes=(Volume("cache", "/cache", folder),)))
    with pytest.raises(UsageError, match="run-1 uses"):
        remove(store, volume)
    store.update(run.id, state=State.STOPPED)
    assert [each.id for each in users(store, store.all(), volume)] == [run.id]
    remove(store, volume)
    assert volumes(store.home) == []
    assert not Path(folder).parent.exists()

"""A store with one run, for the parts of the client that need no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.runs.states import State
from moat.runs.store import Run, Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def run(store: Store) -> Run:
    """A run whose row says that it is running; it has no supervisor."""
    spec = RunSpec(
        id=RunId("a" * 12), name="x", command=("make",), workspace="/", created_at="2026-01-01"
    )
    store.create(spec)
    store.update(spec.id, state=State.RUNNING)
    return store.get(spec.id)

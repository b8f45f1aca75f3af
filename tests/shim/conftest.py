"""A run whose shim is real."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.shim.supervising import Supervising

from moat.runs.store import Store
from moat.spec import Bubblewrap, RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def supervise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Supervising]]:
    """Make a run and its engine; the shim is gone after the test."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    # As in a supervisor: an ended shim leaves no zombie.
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    (tmp_path / "project").mkdir()
    made: list[Supervising] = []

    def make(*command: str, **fields: Any) -> Supervising:
        spec = RunSpec(
            id=RunId("0123456789ab"),
            name="tested",
            command=command,
            workspace=str(tmp_path / "project"),
            created_at="2026-01-01T00:00:00Z",
            **{"bubblewrap": Bubblewrap(host_path=os.environ["PATH"]), **fields},
        )
        with Store() as store:
            store.create(spec)
            supervising = Supervising(spec, store.folder(spec.id))
        made.append(supervising)
        return supervising

    yield make
    for each in made:
        if each.engine.shim_pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.engine.shim_pid, signal.SIGKILL)
        supervising: Supervising | None = each
        while supervising is not None:
            supervising.engine.close()
            supervising = supervising.heir
    signal.signal(signal.SIGCHLD, before)

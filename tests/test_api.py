"""`Run.trace` of the Python API: it needs the record alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.api import Moat
from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.writer import TrafficWriter
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_record_is_iterated_in_pieces(tmp_path: Path) -> None:
    """All of it, in order; nothing where there is none yet."""
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="fix",
        command=("make",),
        workspace="/",
        created_at="2026-01-01T00:00:00.000Z",
    )
    with Store(tmp_path) as store:
        store.create(spec)
        path = store.folder(spec.id).database
    run = await Moat(tmp_path).run("fix")
    assert [row async for row in run.trace()] == []
    record = TrafficWriter(path)
    for _ in range(2_500):
        record.put(TrafficEntry("dns", 0.0))
    record.close()
    assert [row["id"] async for row in run.trace()] == list(range(1, 2_501))

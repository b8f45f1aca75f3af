"""A new index made from the folders of the runs, where `moat.db` is damaged."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from moat.errors import MoatError, NameTakenError, StoreError
from moat.paths import RunFolder, moat_home
from moat.runs import imported
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunSpec, codec

if TYPE_CHECKING:
    from pathlib import Path


def rebuild_index(home: Path | None = None) -> tuple[int, list[tuple[str, str]]]:
    """Move the old index aside and make a new one.

    Returns the number of runs in it, and the folders that were left out, each with the reason. A run
    whose exit status is on disk is entered as stopped, an imported one as it was, any other as running:
    the supervisor that the next command starts for it finds out.
    """
    home = home or moat_home()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for name in ("moat.db", "moat.db-wal", "moat.db-shm"):
        path = home / name
        if path.exists():
            path.rename(path.with_name(f"{name}.damaged-{stamp}"))
    rebuilt, left_out = 0, list[tuple[str, str]]()
    with Store(home) as store:
        specs: list[RunSpec] = []
        for root in sorted((home / "runs").iterdir()) if (home / "runs").is_dir() else ():
            try:
                specs.append(_spec(RunFolder(root)))
            except (MoatError, OSError, ValueError) as exc:
                left_out.append((str(root), str(exc)))
        for spec in sorted(specs, key=attrgetter("created_at"), reverse=True):
            try:
                _enter(store, spec)
                rebuilt += 1
            except (MoatError, OSError, ValueError) as exc:
                left_out.append((str(store.folder(spec.id).root), str(exc)))
    return rebuilt, sorted(left_out)


def _spec(folder: RunFolder) -> RunSpec:
    spec: RunSpec = codec.loads(folder.spec.read_text())
    if spec.id != folder.id:
        raise StoreError(f"its specification is that of run {spec.id}")
    return spec


def _enter(store: Store, spec: RunSpec) -> None:
    """Enter a run; one whose name a newer run has taken gets a name that nobody has."""
    columns = _columns(store.folder(spec.id))
    try:
        store.insert(spec, **columns)
    except NameTakenError:
        store.insert(replace(spec, name=f"{spec.name}-{spec.id}"), **columns)


def _columns(folder: RunFolder) -> dict[str, Any]:
    mark = imported.read(folder)
    if mark is not None:
        return mark.columns
    record = folder.exits / "main.json"
    if record.exists():
        exit_code = int(json.loads(record.read_text())["exit_code"])
        return {"state": State.STOPPED, "exit_code": exit_code}
    return {"state": State.RUNNING}

"""Figures of whole runs: one from start to end, fifty at once, an idle one, ten thousand listed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from contenders import IMAGE, MOAT
from measure import Figure, command_seconds, median

from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contenders import Place

STARTS = 20
AT_ONCE = 50
LISTED = 10_000
LISTS = 10
IDLE_S = 10.0

_RUN_TRUE = {
    "moat": (MOAT, "run", "--", "true"),
    "docker": ("docker", "run", "--rm", IMAGE, "true"),
}


def start_to_end(place: Place, names: list[str]) -> Iterator[tuple[str, Figure]]:
    """Measure in turns, so that other load on the machine affects all of them."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(STARTS):
        for name, samples in times.items():
            samples.append(command_seconds(place, *_RUN_TRUE[name]))
    for name, samples in times.items():
        yield name, Figure("run `true`, start to end", median(samples) * 1e3, "ms")


def at_once(place: Place, name: str) -> Iterator[Figure]:
    started = time.perf_counter()
    commands = [
        subprocess.Popen(
            _RUN_TRUE[name], cwd=place.work, env=place.environment, stdout=subprocess.DEVNULL
        )
        for _ in range(AT_ONCE)
    ]
    failed = sum(command.wait() != 0 for command in commands)
    yield Figure("50 runs at once", time.perf_counter() - started, "s")
    yield Figure("50 runs at once, failed", failed, "")


def listing(place: Place) -> Iterator[Figure]:
    _fill(Path(place.environment["MOAT_HOME"]))
    for what, arguments in (("all of them", ("list", "-a")), ("those alive", ("list",))):
        times = [command_seconds(place, MOAT, *arguments) for _ in range(LISTS)]
        yield Figure(f"list with 10,000 runs, {what}", median(times) * 1e3, "ms")


def _fill(home: Path) -> None:
    """Make ended runs with empty folders: a listing reads the index, and the folders' names."""
    with Store(home) as store:
        for number in range(LISTED):
            spec = RunSpec(
                id=RunId(f"{number:012x}"),
                name=f"old-{number}",
                command=("make", "-j8", "test"),
                workspace="/srv/project",
                created_at=f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            )
            store.folder(spec.id).root.mkdir(parents=True)
            store.insert(spec)
    with sqlite3.connect(home / "moat.db") as index:
        index.execute(
            "UPDATE runs SET state = ?, exit_code = 0 WHERE name LIKE 'old-%'", (State.STOPPED,)
        )


def idle(place: Place) -> Iterator[Figure]:
    place.run(MOAT, "run", "-d", "-t", "-n", "idle", "--", "sleep", "1000")
    run = json.loads(place.run(MOAT, "inspect", "idle"))
    pids = (run["supervisor"]["pid"], run["shim"]["pid"])
    before = sum(map(_ticks, pids))
    time.sleep(IDLE_S)  # noqa: TID251  nothing happens, which is what is measured
    used = (sum(map(_ticks, pids)) - before) / os.sysconf("SC_CLK_TCK")
    yield Figure("idle: CPU", used / IDLE_S * 100, "%")
    for kind in ("Pss", "Rss"):
        yield Figure(f"idle: {kind.upper()}", sum(_memory(pid, kind) for pid in pids) / 1e6, "MB")
    place.run(MOAT, "destroy", "--force", "idle")


def _ticks(pid: int) -> int:
    """Return the processor time of a process, from utime and stime (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(pid: int, kind: str) -> int:
    """Return bytes; smaps_rollup counts in kB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {kind}")

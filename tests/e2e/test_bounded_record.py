"""What a run writes about itself stays within its bounds, and says what it left out."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from tests.e2e.attacks import HOSTILE
from tests.followers import changes

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS, REQUESTS = 40_000, 1_500
LIMIT = 1 << 20
FILL_S = 280.0
NOTIFICATIONS = b"\x1b]9;built\x07\x1b]777;notify;moat;built\x07"


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of a run's files, but for what the sandbox itself keeps in its home."""
    files = (each for each in folder.rglob("*") if each.is_file())
    own = (each for each in files if each.relative_to(folder).parts[0] != "private")
    return {str(each.relative_to(folder)): each.stat().st_size for each in own}


def test_a_flood_fills_no_disk_and_its_sums_are_right(moat: Any) -> None:
    """Questions and long paths without end cost a bounded file, and each is counted."""
    moat.home.mkdir(mode=0o700, exist_ok=True)
    (moat.home / "config.yaml").write_text("traffic_limit: 1m\n")
    shutil.copy(HOSTILE / "fill.py", moat.workspace)
    fill = ("python3", "fill.py", QUESTIONS, REQUESTS, "closed.test")
    done = moat("run", "-n", "x", "--keep", "--deny", "closed.test", "--", *fill, timeout=FILL_S)
    assert done.stdout == "filled\n", done.stderr

    [folder] = (moat.home / "runs").iterdir()
    for _ in changes(folder):  # until the supervisor has written the rest
        if not (folder / "run.db-wal").exists():
            break
    record = {name: size for name, size in _sizes(folder).items() if name.startswith("run.db")}
    assert sum(record.values()) < 2 * LIMIT, record
    assert sum(_sizes(folder).values()) < 4 * LIMIT, _sizes(folder)

    traced = moat("trace", "x", "--summary", "--json")
    assert "entries were dropped to make room" in traced.stderr
    sums = [json.loads(line) for line in traced.stdout.splitlines()]
    assert sum(each["dns"] for each in sums) == QUESTIONS
    closed = next(each for each in sums if each["host"] == "closed.test")
    assert (closed["requests"], closed["denied"]) == (REQUESTS, REQUESTS)

    lines = moat.ok("events", "x", "--event", "traffic_dropped", "--json").splitlines()
    events = [json.loads(line) for line in lines]
    left = len(moat.ok("trace", "x", "--json").splitlines())
    assert sum(each["entries"] for each in events) == QUESTIONS + REQUESTS - left
    assert all(each["since"] <= each["until"] for each in events)
    assert '"event": "traffic_dropped"' in moat.ok("audit", "x", "--json")
    report = json.loads(moat.ok("audit", "x", "--verify", "--json"))
    assert report["absent"] > 0, "the log commits to rows that are not there any more, and says so"


def test_notifications_reach_a_terminal_unless_they_are_dropped(moat: Any, terminal: Any) -> None:
    """A program may notify whoever is attached, if the settings don't say otherwise."""
    (moat.workspace / "notify").write_bytes(b"begin" + NOTIFICATIONS + b"finish\n")
    command = ("sh", "-c", "cat notify; exec cat >/dev/null")
    passing = terminal("run", "-i", "-n", "passing", "--", *command)
    passing.shows("beginfinish")
    assert NOTIFICATIONS in passing.output

    (moat.home / "config.yaml").write_text("notifications: drop\n")
    dropping = terminal("run", "-i", "-n", "dropping", "--", *command)
    dropping.shows("beginfinish")
    assert b"built" not in dropping.output

"""Figures that may grow with what a store has: long journals, and many runs to remove.

Run: make .venv/installed/ready && .venv/installed/bin/python bench/journal.py [MB]

A run writes as many MB (1024) of an editor's repaints, with
a few lines between them. Its supervisor is killed, and `moat attach` has
to wait for the next one; then it ends, and its record is read. A figure for a run that has written
nothing stands beside each: the difference is what the journal's length costs. The last figures are of
200 runs that are removed, ended ones and living ones.
"""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from contenders import MOAT, Place
from measure import command_seconds, median
from screen import full_screen, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TIMES = 5
RUNS = 200
STARTED_AT_ONCE = 4


def main(arguments: Sequence[str]) -> None:
    megabytes = int(arguments[0]) if arguments else 1024
    place = Place(Path(tempfile.mkdtemp(prefix="mb-")))
    place.work.mkdir()
    home = Path(place.environment["MOAT_HOME"])
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("journal_limit: 100g\n")
    try:
        journals(place, megabytes)
        removals(place)
    finally:
        shutil.rmtree(place.root)


def journals(place: Place, megabytes: int) -> None:
    output = full_screen() + plain() * 20
    (place.work / "output").write_bytes(output)
    for name, size in (("short", 0), ("long", megabytes)):
        times = size * 1_000_000 // len(output)
        script = (
            f"i=0; while [ $i -lt {times} ]; do cat output; i=$((i+1)); done; echo THE END; cat"
        )
        place.run(MOAT, "run", "-d", "-i", "-t", "-n", name, "--", "sh", "-c", script)
        place.run(MOAT, "wait", "--text", "THE END", name)
    table("attach after the supervisor's death", lambda name: after_death(place, name))
    for name in ("short", "long"):
        place.run(MOAT, "stop", name)
    for words in (("screen",), ("logs", "-n", "10"), ("replay", "--speed", "0")):
        table(" ".join(words), lambda name, words=words: command_seconds(place, MOAT, *words, name))
    for name in ("short", "long"):
        place.run(MOAT, "destroy", name)


def table(what: str, seconds: Callable[[str], float]) -> None:
    figures = [median([seconds(name) for _ in range(TIMES)]) * 1e3 for name in ("short", "long")]
    print(f"{what:40}{figures[0]:10.0f} ms{figures[1]:10.0f} ms")


def after_death(place: Place, name: str) -> float:
    """Return the seconds from starting the client to the first byte of the screen."""
    supervisor = json.loads(place.run(MOAT, "inspect", name))["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    master, terminal = pty.openpty()
    started = time.perf_counter()
    client = subprocess.Popen(
        [MOAT, "attach", name],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=place.work,
        env=place.environment,
        start_new_session=True,
    )
    select.select([master], [], [])
    seconds = time.perf_counter() - started
    client.kill()
    client.wait()
    os.close(master)
    os.close(terminal)
    return seconds


def removals(place: Place) -> None:
    for what, command in (("ended", "true"), ("living", "sleep 1000")):
        names = [f"{what}-{number}" for number in range(RUNS)]
        for start in range(0, RUNS, STARTED_AT_ONCE):
            words = [MOAT, "run", "-d", "-t", "-n"]
            starting = [
                subprocess.Popen(
                    [*words, name, "--", *command.split()],
                    cwd=place.work,
                    env=place.environment,
                    stdout=subprocess.DEVNULL,
                )
                for name in names[start : start + STARTED_AT_ONCE]
            ]
            if any(each.wait() for each in starting):
                raise RuntimeError("a run did not start")
        if what == "ended":
            for name in names:
                place.run(MOAT, "wait", name)
        seconds = command_seconds(place, MOAT, "destroy", "--force", *names)
        print(f"{f'destroy {RUNS} {what} runs':40}{seconds * 1e3:23.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1:])

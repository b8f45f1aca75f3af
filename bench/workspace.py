"""`python bench/workspace.py`: what a large workspace costs a start, and `moat diff`.

Makes a workspace of 40,000 files in 400 folders and one of 40,000 folders. Prints for each how long
the search for protected paths takes, the recorder's first and later walk, the comparison at the end,
and `moat run -- true`, `moat diff` and `moat snapshot` with the installed command. With the path of
another `moat`, that one's runs are measured in turn with ours. The smallest of several figures is
printed: other work only adds.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from moat.runs import lock
from moat.workspace import discovery, manifest
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATED = 5
RUNS = 10


def main(other: str | None) -> None:
    commands = {"moat": str(Path(sys.executable).with_name("moat"))}
    if other is not None:
        commands["other"] = other
    with tempfile.TemporaryDirectory(prefix="mw-") as place:
        for name, make in (("files", make_files), ("folders", make_folders)):
            root = Path(place, name)
            make(root)
            print(f"40,000 {name}")
            walks(root)
            for label, command in commands.items():
                first(command, root, Path(place, f"{name}-{label}"), label)
            starts(commands, root, Path(place))
            differences(commands["moat"], Path(place, f"{name}-moat"))
            snapshots(commands["moat"], root, Path(place, f"{name}-moat"))


def make_files(root: Path) -> None:
    for number in range(40_000):
        file = root / f"package{number % 20}" / f"module{number % 400}" / f"source{number}.py"
        if number < 400:
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {number}\n" * 200)


def make_folders(root: Path) -> None:
    for number in range(40_000):
        (root / f"package{number % 200}" / f"module{number}").mkdir(parents=True, exist_ok=True)


def walks(root: Path) -> None:
    limit = discovery.MAX_FOLDERS_BEFORE
    show("search before a start", best(lambda: discovery.discover(root, limit, enters_git=False)))
    gc.disable()
    show("first walk", best(lambda: take_manifest(root)))
    saved = manifest.dumps(take_manifest(root))
    show("later walk", best(lambda: take_manifest(root, manifest.loads(saved))))
    gc.enable()


def best(work: Callable[[], object]) -> float:
    return min(timed(work) for _ in range(REPEATED))


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def run(command: str, home: Path, *arguments: str, cwd: Path | None = None) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "MOAT_HOME": str(home)}
    subprocess.run(
        [command, *arguments], env=environment, cwd=cwd, stdout=subprocess.DEVNULL, check=True
    )


def settle(home: Path) -> None:
    """Wait until every run of a store has been recorded to its end."""
    for folder in (home / "runs").iterdir():
        for name in ("recorder.lock", "supervisor.lock"):
            if (folder / name).exists():
                lock.wait_until_free(folder / name)


def first(command: str, root: Path, home: Path, label: str) -> None:
    show(
        f"{label}: first run of true",
        timed(lambda: run(command, home, "run", "--", "true", cwd=root)),
    )
    show(f"{label}: until all is recorded", timed(lambda: settle(home)))


def starts(commands: dict[str, str], root: Path, place: Path) -> None:
    figures: dict[str, list[float]] = {label: [] for label in commands}
    for _ in range(RUNS):
        for label, command in commands.items():
            home = place / f"{root.name}-{label}"
            figures[label].append(
                timed(lambda c=command, h=home: run(c, h, "run", "--", "true", cwd=root))
            )
            settle(home)
    for label, each in figures.items():
        show(f"{label}: later runs of true", min(each))


def differences(command: str, home: Path) -> None:
    show("moat diff of a run that has ended", best(lambda: run(command, home, "diff")))


def snapshots(command: str, root: Path, home: Path) -> None:
    run(command, home, "run", "-d", "-n", "at-work", "--", "sleep", "infinity", cwd=root)
    run(command, home, "snapshot", "at-work")
    show(
        "moat snapshot, with nothing changed",
        best(lambda: run(command, home, "snapshot", "at-work")),
    )
    run(command, home, "kill", "at-work")


def show(what: str, seconds: float) -> None:
    print(f"  {what:40} {seconds * 1000:7.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

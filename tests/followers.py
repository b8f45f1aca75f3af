"""Followers of what other processes write, and how much of it they see."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

from moat.platform.inotify import FolderWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 120.0


def changes(folder: Path) -> Iterator[None]:
    """Yield once at first, and then whenever something in the folder has changed."""
    with FolderWatch(folder) as watch:
        while True:
            yield
            watch.drain()


def commits_seen(folder: Path, writer: str, read: Callable[[], int], count: int) -> int:
    """Follow `count` commits that another process makes in `folder`; return how many were seen.

    `writer` is a program that commits 1, 2, 3, ... and reads a byte of its input after each; `read`
    returns the number that a reader of the database finds. The follower sleeps until it is woken and
    looks once for each time, on the processor of the writer and before it: who is woken too early
    looks too early, too.
    """
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        with (
            FolderWatch(folder) as watch,
            subprocess.Popen(
                ["nice", "-n", "5", sys.executable, "-c", writer, str(folder), str(count)],
                stdin=subprocess.PIPE,
            ) as process,
        ):
            assert process.stdin is not None
            for number in range(1, count + 1):
                seen = 0
                while seen < number:
                    if not select.select([watch], [], [], PATIENCE_S)[0]:
                        process.kill()
                        return number - 1
                    watch.drain()
                    seen = read()
                os.write(process.stdin.fileno(), b"\n")
    finally:
        os.sched_setaffinity(0, processors)
    return count

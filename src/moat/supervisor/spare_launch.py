"""Leaving a spare behind for the starts that follow."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from moat.platform.standing import standing
from moat.supervisor import spare_claim
from moat.wire import spare

if TYPE_CHECKING:
    from pathlib import Path


def own_identity() -> str:
    """Return what a process has to be for a request to be equal to this one. Raises `OSError`."""
    return spare.identity(sys.executable, standing())


def begin(home: Path) -> int | None:
    """Start a spare of this process's identity; return `None` where the store has one.

    It begins in this process's standing, and so has to before a supervisor raises its limits. It loads
    once the descriptor that is returned is closed, or this process dies. Raises `OSError`.
    """
    if spare_claim.is_taken(home, own_identity()):
        return None
    waits, load = os.pipe()
    try:
        os.posix_spawn(
            sys.executable,
            # See `client.connect.spawn`. It gets what is the same in the environment of all supervisors.
            [sys.executable, "-I", "-m", "moat.supervisor.spare", str(home)],
            {"PATH": os.defpath, "LANG": "C.UTF-8", "MOAT_HOME": str(home)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, waits, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_CLOSE, 3),
                (os.POSIX_SPAWN_CLOSE, 4),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(
                *(signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGXFSZ),
                signal.SIGCHLD,
            ),
        )
    except BaseException:
        os.close(load)
        raise
    finally:
        os.close(waits)
    return load

"""The place of a store's router: its files, whether it lives, and the port at which it listens.

A router holds the lock for as long as it lives, and the number of its port is in that file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.runs import lock

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "router"
CONTROL: Final = "control.sock"


def lock_file(home: Path) -> Path:
    return home / FOLDER / "lock"


def log_file(home: Path) -> Path:
    return home / FOLDER / "router.log"


def launch_lock(home: Path) -> Path:
    """Return the file whose lock a client holds while it starts the router."""
    return home / FOLDER / "launch.lock"


def last_port(home: Path) -> int:
    """Return the port of the router that lives, or else of the last one; zero if there was none."""
    try:
        text = lock_file(home).read_text()
    except FileNotFoundError:
        return 0
    return int(text) if text.strip().isdigit() else 0


def port(home: Path) -> int:
    """Return the port at which the router listens; zero where none lives."""
    return last_port(home) if lock.is_locked(lock_file(home)) else 0

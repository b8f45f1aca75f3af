"""The kernel's word on whether it has killed something for want of memory."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Iterable

# Of version 2 and of version 1 (cgroups(7)).
_FILES = ("memory.events", "memory.oom_control")


def was_used_up(cgroups: Iterable[str]) -> bool:
    """Return whether a process of one of these cgroups was killed because of its memory limit."""
    return any(_kills(f"{folder}/{name}") for folder in cgroups for name in _FILES)


def _kills(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0  # another hierarchy, or a cgroup that is gone
    try:
        text = os.read(fd, 4096).decode()
    finally:
        os.close(fd)
    fields = dict(line.split(" ", 1) for line in text.splitlines())
    return int(fields.get("oom_kill", 0))

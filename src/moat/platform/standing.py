"""The standing of a process: what its children inherit besides descriptors, folder and environment.

Two processes whose standings are equal start equal children, with the same rights, bounds, namespaces
and control groups. Everything is read from /proc, so that a module is imported for none of it.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # importing `typing` takes time; the client asks for this first of all
if TYPE_CHECKING:
    from typing import Final

_STATUS: Final = (
    *("Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Cpus_allowed", "Mems_allowed"),
)
_FILES: Final = (
    *("limits", "cgroup", "attr/current", "oom_score_adj", "loginuid", "sessionid", "personality"),
    "timerslack_ns",
)
_NAMESPACES: Final = (
    *("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts"),
)
# Every interpreter ignores the first two, and supervisors set the others by themselves. The last two are
# the C library's own, which ignores them in processes that posix_spawn(3) has started.
_SET_ANEW: Final = (
    *(signal.SIGPIPE, signal.SIGXFSZ),
    *(signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD),
    *(32, 33),
)


def standing() -> str:
    """Return the standing of this process as a text to be compared. Raises `OSError` without /proc."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  before `pathlib` is loaded
        status = dict(line.split(":", 1) for line in file)
    root = os.stat("/")  # noqa: PTH116  as above
    return "\n".join(
        (
            *(f"{name}:{status.get(name, '').strip()}" for name in _STATUS),
            f"ignored:{_ignored(int(status['SigIgn'], 16)):x}",
            *map(_read, _FILES),
            *map(_namespace, _NAMESPACES),
            f"root:{root.st_dev}:{root.st_ino}",
            f"priority:{os.sched_getscheduler(0)}:{os.getpriority(os.PRIO_PROCESS, 0)}",
        )
    )


def _ignored(signals: int) -> int:
    for number in _SET_ANEW:
        signals &= ~(1 << number - 1)
    return signals


def _read(name: str) -> str:
    try:
        with open(f"/proc/self/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  as above
            return file.read()
    except OSError:
        return ""  # the kernel was built without it: there is nothing to hand down


def _namespace(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115  as above
    except OSError:
        return ""

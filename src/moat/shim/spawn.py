"""Starting a program with exactly the descriptors, signals and limits it was given."""

from __future__ import annotations

import os
import resource
import signal

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

# Above any number that a caller asks for; see `place`.
_PARKING = 512


def fork(child: Callable[[], NoReturn], errors: int) -> int:
    """Runs `child` in a new process. What it raises goes to `errors` as text; it ends with 125."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        child()
    except BaseException as exc:  # noqa: BLE001  the root of a process: reported, then over
        os.write(errors, str(exc).encode())
    finally:
        os._exit(125)


def start(argv: list[str]) -> None:
    """Runs a program of ours beside us; the shim reaps it, as it does everybody."""
    os.posix_spawn(argv[0], argv, {"PATH": os.defpath}, setsigmask=(), setsigdef=(signal.SIGCHLD,))


def place(descriptors: Mapping[int, int]) -> None:
    """Makes each key a copy of the descriptor that is its value, inherited over exec.

    In two steps, because a number that is wanted may be one that is still to be copied.
    """
    import fcntl  # noqa: PLC0415  in the child only

    parked = {
        wanted: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _PARKING)
        for wanted, fd in descriptors.items()
    }
    for wanted, fd in parked.items():
        os.dup2(fd, wanted, inheritable=True)


def reset_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and ignored signals survive exec: a shell would too."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def apply_limits(limits: Mapping[str, int], processors: Sequence[int]) -> None:
    """`limits` maps RLIMIT names without their prefix, e.g. `{"AS": 1 << 30}`, to both bounds."""
    if processors:
        os.sched_setaffinity(0, processors)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def enter_cgroup(folder: str | None) -> None:
    """Moves this process into a cgroup (version 2), and so all that it starts."""
    if folder is not None:
        fd = os.open(f"{folder}/cgroup.procs", os.O_WRONLY)
        os.write(fd, b"0")
        os.close(fd)

"""Starting a program with exactly the descriptors, signals and limits that it is to have."""

from __future__ import annotations

import fcntl
import os
import resource
import signal

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import NoReturn

# Above any number that a caller asks for; see `place`.
_PARKING = 512

_NOFILE = resource.RLIMIT_NOFILE
# What Moat's own processes may have open and in flight beyond what a sandbox may.
_SPARE_DESCRIPTORS = 1024
_SOFT, _HARD = resource.getrlimit(_NOFILE)


def raise_descriptor_limit() -> None:
    """Let the shim pass descriptors on whatever a run does.

    A user's processes may together have as many descriptors in flight, sent and not received yet, as
    the limit of the one that wants to send another (unix(7), ETOOMANYREFS). `apply_limits` gives a
    sandbox a lower limit than the shim has.
    """
    resource.setrlimit(_NOFILE, (_HARD, _HARD))


def fork(child: Callable[[], NoReturn], errors: int) -> int:
    """Run `child` in a new process. An exception goes to `errors` as text, and ends it with 125."""
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
    """Run one of Moat's own programs beside the shim, which reaps it like every other child."""
    os.posix_spawn(argv[0], argv, {"PATH": os.defpath}, setsigmask=(), setsigdef=(signal.SIGCHLD,))


def place(descriptors: Mapping[int, int]) -> None:
    """Make each key a copy of the descriptor that is its value, inherited over exec.

    This takes two steps, because a wanted number may be one that is still to be copied.
    """
    parked = {
        wanted: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _PARKING)
        for wanted, fd in descriptors.items()
    }
    for wanted, fd in parked.items():
        os.dup2(fd, wanted, inheritable=True)


def reset_signals() -> None:
    """Undo what Python does to signals at its start.

    It ignores SIGPIPE and SIGXFSZ. Ignored signals survive exec, and would change how a shell behaves.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def apply_limits(limits: Mapping[str, int], processors: Sequence[int]) -> None:
    """Bind this process to `processors`, if any, and set its resource limits.

    `limits` maps RLIMIT names without their prefix, e.g. `{"AS": 1 << 30}`, to the value of both the
    soft and the hard limit.
    """
    if processors:
        os.sched_setaffinity(0, processors)
    most = _HARD - min(_SPARE_DESCRIPTORS, _HARD // 4)
    resource.setrlimit(_NOFILE, (min(_SOFT, most), most))
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def enter_cgroups(folders: Iterable[str | None]) -> None:
    """Move this process, and so everything that it starts, into a cgroup of each hierarchy."""
    for folder in filter(None, folders):
        fd = os.open(f"{folder}/cgroup.procs", os.O_WRONLY)
        os.write(fd, b"0")
        os.close(fd)

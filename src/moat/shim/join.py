"""A further command in a sandbox that runs already (`moat exec`).

The new process enters the namespaces of the first command and then gives up what bubblewrap gave up
for that one: capabilities, new privileges, system calls. Until it does, it is visible in the
sandbox's pid namespace, so it may not be dumped or traced (`linux.forbid_dumps`, set in the shim).
"""

from __future__ import annotations

import fcntl
import os
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from moat.shim import linux, spawn

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACES = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWCGROUP
)


@dataclass(frozen=True, slots=True)
class Joiner:
    """What to run, and where: the namespaces of the process behind `pidfd`."""

    pidfd: int
    argv: list[str]
    env: dict[str, str]
    cwd: str
    tty: bool
    seccomp: bytes
    limits: dict[str, int]
    stdio: Mapping[int, int]
    errors: int
    started: int
    """A socket: one byte on it tells the shim the process's pid, by its credentials."""


def enter(what: Joiner) -> NoReturn:
    """In a child of the shim: enters, leaves the command as an orphan that the shim adopts."""
    linux.setns(what.pidfd, _NAMESPACES)
    # A pid namespace takes in children only: this process stays outside, its child is inside.
    spawn.fork(lambda: _become(what), what.errors)
    os._exit(0)


def _become(what: Joiner) -> NoReturn:
    os.setsid()
    spawn.place(what.stdio)
    if what.tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    spawn.reset_signals()
    spawn.apply_limits(what.limits)
    os.chdir(what.cwd)
    os.umask(0o022)
    linux.drop_privileges()
    linux.filter_syscalls(what.seccomp)
    os.write(what.started, b"\n")
    try:
        os.execvpe(what.argv[0], what.argv, what.env)
    except OSError as exc:
        # As a shell reports it, and with a shell's codes.
        os.write(2, f"moat: {what.argv[0]}: {exc.strerror}\n".encode())
        os._exit(127 if isinstance(exc, FileNotFoundError) else 126)

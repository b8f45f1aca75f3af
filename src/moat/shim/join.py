"""A further command in a sandbox that runs already (`moat exec`).

The new process enters the namespaces of the first command and then gives up what bubblewrap gave up
for that one: capabilities, new privileges, system calls. Until it does, it is visible in the
sandbox's pid namespace, so it may not be dumped or traced (`linux.forbid_dumps`, set in the shim).
"""

from __future__ import annotations

import fcntl
import os
import termios

from moat.shim import linux, spawn

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

_NAMESPACES = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWCGROUP
)


class Joiner:
    """What to run, and where."""

    __slots__ = ("errors", "pidfd", "started", "stdio", "wish")

    def __init__(
        self,
        wish: dict[str, Any],
        pidfd: int,
        *,
        stdio: Mapping[int, int],
        errors: int,
        started: int,
    ) -> None:
        """The namespaces are those of the process behind `pidfd`.

        One byte on the socket `started` tells the shim the process's pid, by its credentials.
        """
        self.wish = wish
        self.pidfd = pidfd
        self.stdio = stdio
        self.errors = errors
        self.started = started


def enter(what: Joiner) -> NoReturn:
    """In a child of the shim: enters, leaves the command as an orphan that the shim adopts."""
    spawn.enter_cgroup(what.wish["cgroup"])
    linux.setns(what.pidfd, _NAMESPACES)
    # A pid namespace takes in children only: this process stays outside, its child is inside.
    spawn.fork(lambda: _become(what), what.errors)
    os._exit(0)


def _become(what: Joiner) -> NoReturn:
    wish = what.wish
    os.setsid()
    spawn.place(what.stdio)
    if wish["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    spawn.reset_signals()
    spawn.apply_limits(wish["limits"], wish["processors"])
    os.chdir(wish["workdir"])
    os.umask(0o022)
    linux.drop_privileges()
    linux.filter_syscalls(bytes.fromhex(wish["seccomp"]))
    os.write(what.started, b"\n")
    command: list[str] = wish["command"]
    try:
        os.execvpe(command[0], command, wish["env"])
    except OSError as exc:
        # As a shell reports it, and with a shell's codes.
        os.write(2, f"moat: {command[0]}: {exc.strerror}\n".encode())
        os._exit(127 if isinstance(exc, FileNotFoundError) else 126)

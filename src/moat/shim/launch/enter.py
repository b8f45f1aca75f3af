"""A further command in a sandbox that runs already (`moat exec`).

The new process enters the namespaces of the first command and then gives up what bubblewrap gave up
for that one: capabilities, new privileges, system calls. Until it has, it is visible in the
sandbox's pid namespace, so it may not be dumped or traced (`linux.forbid_dumps`, set in the shim).
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios

from moat.shim import linux
from moat.shim.launch import devices, spawn
from moat.shim.launch.sandbox import close_imports

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from moat.shim.launch.streams import Ends

NAMESPACES = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWCGROUP
)


def enter(request: dict[str, Any], pidfd: int, namespaces: int, ends: Ends) -> NoReturn:
    """Enter the sandbox of the process behind `pidfd`, and leave the command to the shim as an orphan.

    `namespaces` are those that are the sandbox's own, and not the shim's.

    Runs in a child of the shim.
    """
    # The first call imports a module, and os.execvpe will make one in there, where the sandbox may
    # not show the host's Python.
    os.get_exec_path()
    spawn.enter_cgroups([request["cgroup"], *request.get("cgroups", ())])
    if request["tty"]:
        ends.stdin = ends.stdout = ends.stderr = devices.open_read_only(ends.stdout)
    close_imports()
    linux.setns(pidfd, namespaces)
    # A pid namespace takes in children only: this process stays outside, its child is inside.
    spawn.fork(lambda: _become(request, ends), ends.errors)
    os._exit(0)


def bound(pidfd: int, pid_max: int | None, terminals: int) -> None:
    """Bound the process numbers and the ptys of the sandbox of the process behind `pidfd`.

    A pid namespace's own `kernel.pid_max` is seen from inside alone, and there only somebody with
    capabilities may write it. This process's child has those of the shim, whose user namespace is
    around the sandbox's, and is reaped like every other child. A command may be over before: then there
    is nothing left to bound.
    """

    def write() -> None:
        if pid_max is not None:
            with open("/proc/sys/kernel/pid_max", "wb") as file:  # noqa: PTH123  pathlib: 5 ms of the start
                file.write(b"%d" % pid_max)
        linux.setns(pidfd, linux.CLONE_NEWNS)  # the sandbox's /proc/sys is read-only
        linux.remount_terminals(terminals)

    def join() -> None:
        linux.setns(pidfd, linux.CLONE_NEWPID)
        spawn.fork(lambda: _while_alive(pidfd, write), sys.stderr.fileno())

    spawn.fork(lambda: _while_alive(pidfd, join), sys.stderr.fileno())


def _while_alive(pidfd: int, act: Callable[[], None]) -> NoReturn:
    """Do something to a process, which may fail if it has ended meanwhile, and end this one."""
    try:
        act()
    except OSError:
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        if not ended.poll(0):
            raise
    os._exit(0)


def mount_links(pidfd: int, links: list[tuple[str, str]]) -> None:
    """Mount symbolic links of the sandbox of the process behind `pidfd`, each over a file there.

    Where one can't be mounted, the file below stays as it was, which is read-only.
    """

    def mount() -> NoReturn:
        linux.setns(pidfd, linux.CLONE_NEWNS)
        for link, target in links:
            try:
                linux.mount_link(link, target)
            except OSError as exc:
                sys.stderr.write(f"moat shim: {exc}\n")
        sys.stderr.flush()
        os._exit(0)

    spawn.fork(mount, sys.stderr.fileno())


def _become(request: dict[str, Any], ends: Ends) -> NoReturn:
    os.setsid()
    # Not the host's /dev/null, which would be a way to that inode.
    stdin = ends.stdin if request["stdin"] else os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    spawn.place({0: stdin, 1: ends.stdout, 2: ends.stderr})
    if request["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    spawn.reset_signals()
    spawn.apply_limits(request["limits"], request["processors"])
    os.chdir(request["workdir"])
    os.umask(0o022)
    user = request.get("user")
    linux.drop_privileges(None if user is None else (user[0], user[1]))
    linux.filter_syscalls(bytes.fromhex(request["seccomp"]))
    os.write(ends.started, b"\n")
    command: list[str] = request["command"]
    try:
        os.execvpe(command[0], command, request["env"])
    except OSError as exc:
        # The message and the exit codes are a shell's.
        os.write(2, f"moat: {command[0]}: {exc.strerror}\n".encode())
        os._exit(127 if isinstance(exc, FileNotFoundError) else 126)

"""Starting a command, in a sandbox of its own or in one that runs already."""

from __future__ import annotations

import os
import socket

from moat.shim import linux
from moat.shim.launch import devices, enter, spawn
from moat.shim.launch.session import Session
from moat.shim.launch.streams import Ends, open_pipes, open_terminal

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from moat.shim.launch.sandbox import Sandbox


def launch(name: str, request: dict[str, Any], passed: list[int]) -> Session:
    """Start the program that makes the sandbox and runs the first command in it.

    `request`: `argv`; `numbers`, under which the program finds the descriptors that are made here;
    `passed`, under which it finds the descriptors `passed`; `program`, the number among these of the
    program's own file; `filter`, the program's system call filter (hex); `read_only`, devices that it
    may show, but not change; `links`, as `enter.mount_links` takes them; `tty`, `stdin`, `size`,
    `limits`, `processors`, `cgroup`; `pid_max` and `terminals` as `enter.bound` takes them.

    In `numbers`, `started` is a socket for one byte from the command-to-be, `info` a pipe for
    bubblewrap's `--info-fd`, and `stdin`, `stdout` and `stderr` are the command's. Standard error of
    the program itself is for the reason why there is no command.

    The program becomes the sandbox's init, which everybody in there can see. Its file may be executed
    and not read, so the kernel lets nobody there look into the process (proc_pid_fd(5) and others).
    """
    info_read, info_write = os.pipe()
    shim = os.getpid()

    def become(ends: Ends) -> NoReturn:
        linux.die_with(shim)
        os.setsid()
        os.umask(0o022)
        spawn.enter_cgroups([request["cgroup"]])
        terminal = [os.ttyname(ends.stdout)] if request["tty"] else []
        devices.make_read_only([*request["read_only"], *terminal])
        made = {
            "started": ends.started,
            "stdin": ends.stdin,
            "stdout": ends.stdout,
            "stderr": ends.stderr,
            "info": info_write,
        }
        placed = {0: ends.null, 1: ends.null, 2: ends.errors}
        placed |= {request["numbers"][role]: fd for role, fd in made.items()}
        placed |= dict(zip(request["passed"], passed, strict=True))
        spawn.place(placed)
        spawn.reset_signals()
        spawn.apply_limits(request["limits"], request["processors"])
        program: int = request["program"]
        os.set_inheritable(program, False)
        linux.filter_syscalls(bytes.fromhex(request["filter"]))
        linux.respect_file_modes()
        os.execve(program, request["argv"], os.environ)

    try:
        session = _start(name, request, become, joins=False)
        session.info = info_read
        session.bounds = request["pid_max"], request["terminals"]
        session.links = request.get("links", [])
        return session
    finally:
        os.close(info_write)


def join(name: str, request: dict[str, Any], sandbox: Sandbox | Session) -> Session:
    """Start a command in a sandbox of another program's, or a further one beside that of a session.

    `request`: `command`, `env`, `workdir`, `tty`, `stdin`, `size`, `seccomp` (hex), `limits`,
    `processors`, `cgroup`, and perhaps `cgroups` and `user`, the numbers of a user and a group.
    """
    namespaces = enter.NAMESPACES
    if isinstance(sandbox, Session):
        if sandbox.pidfd is None or sandbox.exit_code is not None:
            raise ProcessLookupError(3, "the sandbox has no running command")
        pidfd = sandbox.pidfd
        namespaces |= linux.CLONE_NEWUSER
    else:
        pidfd = sandbox.init
    return _start(
        name, request, lambda ends: enter.enter(request, pidfd, namespaces, ends), joins=True
    )


def _start(
    name: str, request: dict[str, Any], become: Callable[[Ends], NoReturn], *, joins: bool
) -> Session:
    streams = open_terminal(request) if request["tty"] else open_pipes(request)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    errors, errors_write = os.pipe()
    started, started_write = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    started.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ends = Ends(
        streams.command_ends, null=null, errors=errors_write, started=started_write.fileno()
    )
    child = spawn.fork(lambda: become(ends), errors_write)
    command_ends = set(streams.command_ends.values())
    # The slave of a pty stays open: a program that closes its terminal and opens it again must not
    # look like one that has ended.
    held = command_ends if request["tty"] else set[int]()
    for fd in {null, errors_write, *command_ends} - held:
        os.close(fd)
    started_write.close()
    session = Session(name, child, tty=request["tty"], joins=joins)
    session.cgroups = [*filter(None, [request["cgroup"]]), *request.get("cgroups", ())]
    session.fds, session.held = streams.shim_ends, list(held)
    session.started, session.errors = started, errors
    return session

"""Starting a command, in a sandbox of its own or in one that runs already."""

from __future__ import annotations

import os
import socket

from moat.shim import linux
from moat.shim.launch import enter, spawn
from moat.shim.launch.session import Session
from moat.shim.launch.streams import Ends, open_pipes, open_terminal

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# Bubblewrap's descriptors beside the standard three; the trampoline below names them too.
_STARTED, _STDIN, _STDOUT, _STDERR, _INFO = 3, 4, 5, 6, 7

# Runs inside the sandbox as the command-to-be. It takes the command's own streams (bubblewrap's are
# for bubblewrap's messages), tells the shim its pid by writing to a socket that passes
# credentials, and becomes the command in a session of its own, with the sandbox's `sh` and `setsid`.
_TRAMPOLINE = (
    "exec <&4 >&5 2>&6 4<&- 5>&- 6>&- 7>&-; echo >&3; exec 3>&-; "
    'command -v "$1" >/dev/null || '
    '{{ echo "moat: $1: command not found in the sandbox" >&2; exit 127; }}; '
    'exec setsid {ctty} "$@"'
)


def launch(name: str, request: dict[str, Any], passed: list[int]) -> Session:
    """Start the first command: bubblewrap, then the trampoline, then the command.

    `request`: `sandbox` (bubblewrap's own argv up to `--`), `command`, `tty`, `stdin`, `size`, `numbers`
    (under which bubblewrap finds the descriptors `passed`), `limits`, `processors`, `cgroup`.
    """
    info_read, info_write = os.pipe()
    shim = os.getpid()

    def become(ends: Ends) -> NoReturn:
        linux.die_with(shim)
        os.setsid()
        os.umask(0o022)
        spawn.enter_cgroup(request["cgroup"])
        placed = {0: ends.null, 1: ends.null, 2: ends.errors, _STARTED: ends.started}
        placed |= {_STDIN: ends.stdin, _STDOUT: ends.stdout, _STDERR: ends.stderr}
        placed |= {_INFO: info_write} | dict(zip(request["numbers"], passed, strict=True))
        spawn.place(placed)
        spawn.reset_signals()
        spawn.apply_limits(request["limits"], request["processors"])
        argv = [*request["sandbox"], *_console(request), "--info-fd", str(_INFO), "--"]
        ctty = "-c" if request["tty"] else ""
        argv += ["/bin/sh", "-c", _TRAMPOLINE.format(ctty=ctty), "moat", *request["command"]]
        os.execv(argv[0], argv)

    try:
        session = _start(name, request, become, joins=False)
        session.info = info_read
        return session
    finally:
        os.close(info_write)


def _console(request: dict[str, Any]) -> tuple[str, ...]:
    """The pty is of the host's /dev/pts, and the sandbox has its own: here ttyname(3) finds it."""
    return ("--dev-bind", os.ttyname(_STDOUT), "/dev/console") if request["tty"] else ()


def join(name: str, request: dict[str, Any], sandbox: Session) -> Session:
    """Start a further command in the sandbox of `sandbox`.

    `request`: `command`, `env`, `workdir`, `tty`, `stdin`, `size`, `seccomp` (hex), `limits`,
    `processors`, `cgroup`.
    """
    if sandbox.pidfd is None or sandbox.exit_code is not None:
        raise ProcessLookupError(3, "the sandbox has no running command")
    pidfd = sandbox.pidfd
    return _start(name, request, lambda ends: enter.enter(request, pidfd, ends), joins=True)


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
    session.fds, session.held = streams.shim_ends, list(held)
    session.started, session.errors = started, errors
    return session

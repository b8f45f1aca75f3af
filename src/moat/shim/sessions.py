"""A session: one command, the pty or pipes it talks through, and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import struct
import termios

from moat.shim import join, linux, spawn

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# Bubblewrap's descriptors beside the standard three; the trampoline below names them too.
_STARTED, _STDIN, _STDOUT, _STDERR, _INFO = 3, 4, 5, 6, 7

# Runs inside the sandbox as the command-to-be. It takes the command's own stdio (bubblewrap's is
# for bubblewrap's complaints), tells the shim its pid by writing to a socket that passes
# credentials, and becomes the command in a session of its own, with the sandbox's `sh` and `setsid`.
_TRAMPOLINE = (
    "exec <&4 >&5 2>&6 4<&- 5>&- 6>&- 7>&-; echo >&3; exec 3>&-; "
    'command -v "$1" >/dev/null || '
    '{{ echo "moat: $1: command not found in the sandbox" >&2; exit 127; }}; '
    'exec setsid {ctty} "$@"'
)

# struct ucred of unix(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")


class Session:
    """What the shim holds for one command."""

    def __init__(self, name: str, child: int, *, tty: bool, joins: bool) -> None:
        self.name = name
        self.tty = tty
        self.child = child
        """What was forked: bubblewrap, or the joining process, which leaves the command to us."""
        self.joins = joins
        self.fds: dict[str, int] = {}
        """Handed to each supervisor, by name."""
        self.kept: list[int] = []
        """Ours alone."""
        self.started: socket.socket
        self.errors: int
        """Read end of the pipe on which bubblewrap or the joining process complains."""
        self.info: int | None = None
        """Read end of bubblewrap's --info-fd, which names the init of the sandbox."""
        self.info_text = b""
        self.init_pidfd: int | None = None
        self.pid: int | None = None
        """The command, as the host numbers it; `None` until it begins."""
        self.pidfd: int | None = None
        self.exit_code: int | None = None

    @property
    def state(self) -> dict[str, Any]:
        return {"pid": self.pid, "tty": self.tty, "exit_code": self.exit_code}

    @property
    def reaped_as(self) -> int | None:
        """The pid whose wait status is the command's: bubblewrap passes it on."""
        return self.pid if self.joins else self.child

    def take_pid(self) -> bool:
        """Takes the pid from the credentials of the byte that the command-to-be sent.

        False when there is none and will be none: the command-to-be is gone.
        """
        data, ancillary, _flags, _from = self.started.recvmsg(16, socket.CMSG_SPACE(12))
        for level, kind, value in ancillary:
            if data and (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid: int = _CREDENTIALS.unpack(value)[0]
                self.pid, self.pidfd = pid, _open_process(pid)
        return bool(data)

    def take_init(self) -> bool:
        """Opens the sandbox's init: with it the whole pid namespace can be ended and waited for.

        True when all has been said: bubblewrap writes in pieces, and closes behind the last.
        """
        assert self.info is not None  # noqa: S101  it is watched only while it is there
        piece = os.read(self.info, 4096)
        self.info_text += piece
        if piece:
            return False
        os.close(self.info)
        self.info = None
        if self.info_text:
            self.init_pidfd = _open_process(json.loads(self.info_text)["child-pid"])
        return True

    def complaint(self) -> str:
        """What was said on `errors`, without waiting for more."""
        os.set_blocking(self.errors, False)
        try:
            return os.read(self.errors, 4096).decode(errors="replace").strip()
        except BlockingIOError:
            return ""

    def signal(self, number: int) -> None:
        """Raises `ProcessLookupError` where the command is not there (yet, or any more)."""
        if self.pidfd is None:
            raise ProcessLookupError(3, "the command has not begun")
        signal.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        """Ends everything of the session that can be ended, at once."""
        # Killing a pid namespace's init kills all that lives in it. Before there is one,
        # bubblewrap's --die-with-parent does the same.
        target = self.init_pidfd if self.init_pidfd is not None else self.pidfd
        if target is not None:
            signal.pidfd_send_signal(target, signal.SIGKILL)
        else:
            os.kill(self.child, signal.SIGKILL)

    def close_stdin(self) -> None:
        fd = self.fds.pop("stdin", None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        optional = (self.info, self.init_pidfd, self.pidfd)
        for fd in (*self.fds.values(), *self.kept, self.errors, *optional):
            if fd is not None:
                os.close(fd)
        self.started.close()


def _open_process(pid: int) -> int | None:
    """A stable handle on the process; `None` where it is over already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def launch(name: str, wish: dict[str, Any], given: list[int]) -> Session:
    """The first command: bubblewrap, then the trampoline, then the command.

    `wish`: `sandbox` (bubblewrap's own argv up to `--`), `command`, `tty`, `stdin`, `size`, `numbers`
    (under which bubblewrap finds `given`), `limits`, `processors`, `cgroup`.
    """
    info_read, info_write = os.pipe()
    shim = os.getpid()

    def become(ends: _Ends) -> NoReturn:
        linux.die_with(shim)
        os.setsid()
        os.umask(0o022)
        spawn.enter_cgroup(wish["cgroup"])
        placed = {0: ends.null, 1: ends.null, 2: ends.errors, _STARTED: ends.started}
        placed |= {_STDIN: ends.stdin, _STDOUT: ends.stdout, _STDERR: ends.stderr}
        placed |= {_INFO: info_write} | dict(zip(wish["numbers"], given, strict=True))
        spawn.place(placed)
        spawn.reset_signals()
        spawn.apply_limits(wish["limits"], wish["processors"])
        argv = [*wish["sandbox"], *_console(wish), "--info-fd", str(_INFO), "--"]
        ctty = "-c" if wish["tty"] else ""
        argv += ["/bin/sh", "-c", _TRAMPOLINE.format(ctty=ctty), "moat", *wish["command"]]
        os.execv(argv[0], argv)

    try:
        session = _start(name, wish, become, joins=False)
        session.info = info_read
        return session
    finally:
        os.close(info_write)


def _console(wish: dict[str, Any]) -> tuple[str, ...]:
    """The pty is of the host's /dev/pts, and the sandbox has its own: here ttyname(3) finds it."""
    return ("--dev-bind", os.ttyname(_STDOUT), "/dev/console") if wish["tty"] else ()


def enter(name: str, wish: dict[str, Any], sandbox: Session) -> Session:
    """A further command in the sandbox of `sandbox`.

    `wish`: `command`, `env`, `workdir`, `tty`, `stdin`, `size`, `seccomp` (hex), `limits`,
    `processors`, `cgroup`.
    """
    if sandbox.pidfd is None or sandbox.exit_code is not None:
        raise ProcessLookupError(3, "the sandbox has no running command")
    pidfd = sandbox.pidfd

    def become(ends: _Ends) -> NoReturn:
        stdio = {0: ends.stdin, 1: ends.stdout, 2: ends.stderr}
        join.enter(join.Joiner(wish, pidfd, stdio=stdio, errors=ends.errors, started=ends.started))

    return _start(name, wish, become, joins=True)


class _Ends:
    """The command's ends of everything."""

    def __init__(self, theirs: dict[str, int], *, null: int, errors: int, started: int) -> None:
        self.stdin = theirs.get("stdin", null)
        self.stdout = theirs["stdout"]
        self.stderr = theirs["stderr"]
        self.null = null
        self.errors = errors
        self.started = started


def _start(
    name: str, wish: dict[str, Any], become: Callable[[_Ends], NoReturn], *, joins: bool
) -> Session:
    ours, theirs, kept = _terminal(wish) if wish["tty"] else _pipes(wish)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    errors, errors_theirs = os.pipe()
    started, started_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    started.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ends = _Ends(theirs, null=null, errors=errors_theirs, started=started_theirs.fileno())
    child = spawn.fork(lambda: become(ends), errors_theirs)
    for fd in {null, errors_theirs, *theirs.values()} - set(kept):
        os.close(fd)
    started_theirs.close()
    session = Session(name, child, tty=wish["tty"], joins=joins)
    session.fds, session.kept = ours, kept
    session.started, session.errors = started, errors
    return session


def _terminal(wish: dict[str, Any]) -> tuple[dict[str, int], dict[str, int], list[int]]:
    """A pty, and the pipe over which its output goes into the journal by `splice`.

    The pipe is held here so that bytes on their way survive the supervisor. The slave stays open:
    a program that closes and reopens its terminal must not look like one that ended.
    """
    master, slave = pty.openpty()
    columns, rows = wish["size"]
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.set_blocking(master, False)
    pipe_read, pipe_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    ours = {"terminal": master, "pipe_read": pipe_read, "pipe_write": pipe_write}
    theirs = {"stdout": slave, "stderr": slave}
    if wish["stdin"]:
        theirs["stdin"] = slave
    return ours, theirs, [slave]


def _pipes(wish: dict[str, Any]) -> tuple[dict[str, int], dict[str, int], list[int]]:
    stdout_read, stdout_write = os.pipe()
    stderr_read, stderr_write = os.pipe()
    ours = {"stdout": stdout_read, "stderr": stderr_read}
    theirs = {"stdout": stdout_write, "stderr": stderr_write}
    if wish["stdin"]:
        theirs["stdin"], ours["stdin"] = os.pipe()
    for fd in ours.values():
        os.set_blocking(fd, False)
    return ours, theirs, []

"""A session: one command, the pty or pipes it talks through, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from typing import Any

# struct ucred of unix(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")


class Session:
    """The process and the descriptors that the shim holds for one command."""

    def __init__(self, name: str, child: int, *, tty: bool, joins: bool) -> None:
        self.name = name
        self.tty = tty
        self.child = child
        """The pid that was forked: the program that makes the sandbox, or the process that joins one
        and leaves its command to the shim as an orphan."""
        self.joins = joins
        """Tells that the command is in a sandbox that ran already."""
        self.fds: dict[str, int] = {}
        """Passed to each supervisor, by name."""
        self.held: list[int] = []
        """Kept open here, and passed to nobody."""
        self.started: socket.socket
        """Receives the command's pid just before it begins, or the end of file if it can't."""
        self.errors: int
        """Read end of the pipe for the reason why it can't begin."""
        self.info: int | None = None
        """Read end of the pipe that names the sandbox's init, in the words of bubblewrap's --info-fd."""
        self.info_text = b""
        self.init_pidfd: int | None = None
        self.bounds: tuple[int | None, int] | None = None
        """The process numbers (`None` for any) and the ptys of the sandbox, with its first command."""
        self.links: list[tuple[str, str]] = []
        """Links to mount in the sandbox before the command begins; see `enter.mount_links`."""
        self.pid: int | None = None
        """The command's pid on the host; `None` until it begins."""
        self.pidfd: int | None = None
        self.cgroups: list[str] = []
        """The folders of the command's cgroups."""
        self.exit_code: int | None = None

    @property
    def state(self) -> dict[str, Any]:
        return {"pid": self.pid, "tty": self.tty, "exit_code": self.exit_code}

    @property
    def reaped_as(self) -> int | None:
        """The pid whose wait status is the command's: what makes a sandbox passes it on."""
        return self.pid if self.joins else self.child

    def take_pid(self) -> bool:
        """Take the pid from the credentials of the byte that the command-to-be has sent.

        Return False when no byte will come because the command-to-be is gone.
        """
        data, ancillary, _flags, _from = self.started.recvmsg(16, socket.CMSG_SPACE(12))
        for level, kind, value in ancillary:
            if data and (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid: int = _CREDENTIALS.unpack(value)[0]
                self.pid, self.pidfd = pid, _open_process(pid)
        return bool(data)

    def take_init(self) -> bool:
        """Read on from `info`, and at its end open the sandbox's init.

        With the init the whole pid namespace can be ended and waited for. Return True at the end:
        the text comes in pieces.
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

    def error_message(self) -> str:
        """Return what came on `errors`, without waiting for more."""
        os.set_blocking(self.errors, False)
        try:
            return os.read(self.errors, 4096).decode(errors="replace").strip()
        except BlockingIOError:
            return ""

    def signal(self, number: int) -> None:
        """Signal the command. Raises `ProcessLookupError` before it begins and after it has ended."""
        if self.pidfd is None:
            raise ProcessLookupError(3, "the command has not begun")
        signal.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        """End everything of the session that can be ended, at once."""
        # Killing a pid namespace's init kills everything in the namespace. Before there is one, nothing
        # of the sandbox outlives the program that makes it (bubblewrap's --die-with-parent).
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
        for fd in (*self.fds.values(), *self.held, self.errors, *optional):
            if fd is not None:
                os.close(fd)
        self.started.close()


def _open_process(pid: int) -> int | None:
    """Return a stable handle on a process; `None` if it has ended already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None

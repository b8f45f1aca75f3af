"""A command's standard streams, a pty or pipes, and whatever else its process is given."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from typing import Any


class Streams:
    """Both ends of a command's streams, by name."""

    def __init__(self, shim_ends: dict[str, int], command_ends: dict[str, int]) -> None:
        self.shim_ends = shim_ends
        """Passed to each supervisor."""
        self.command_ends = command_ends
        """`stdout`, `stderr`, and `stdin` if the command has input."""


class Ends:
    """The descriptors that are for the child: its streams, and its ways to report to the shim."""

    def __init__(self, streams: dict[str, int], *, null: int, errors: int, started: int) -> None:
        self.stdin = streams.get("stdin", null)
        self.stdout = streams["stdout"]
        self.stderr = streams["stderr"]
        self.null = null
        self.errors = errors
        """A pipe for the reason why the command can't begin."""
        self.started = started
        """A socket for one byte just before it begins."""


def open_terminal(request: dict[str, Any]) -> Streams:
    """Open a pty, and the pipe over which its output goes into the journal by `splice`.

    The pipe is held here so that bytes on their way survive the supervisor.
    """
    master, slave = os.openpty()
    columns, rows = request["size"]
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.set_blocking(master, False)
    pipe_read, pipe_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    shim_ends = {"terminal": master, "pipe_read": pipe_read, "pipe_write": pipe_write}
    command_ends = {"stdout": slave, "stderr": slave}
    if request["stdin"]:
        command_ends["stdin"] = slave
    return Streams(shim_ends, command_ends)


def open_pipes(request: dict[str, Any]) -> Streams:
    stdout_read, stdout_write = os.pipe()
    stderr_read, stderr_write = os.pipe()
    shim_ends = {"stdout": stdout_read, "stderr": stderr_read}
    command_ends = {"stdout": stdout_write, "stderr": stderr_write}
    if request["stdin"]:
        command_ends["stdin"], shim_ends["stdin"] = os.pipe()
    for fd in shim_ends.values():
        os.set_blocking(fd, False)
    return Streams(shim_ends, command_ends)

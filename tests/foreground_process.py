"""A process in the foreground of a terminal, or not, as a client is whose keys a supervisor reads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

# Leads the session of the terminal on descriptor 0. "b" puts another group in front, "f" its own.
_LEADER = """\
import fcntl, os, signal, socket, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
channel = socket.socket(fileno=int(sys.argv[1]))
ends = socket.socketpair()
socket.send_fds(channel, [b"."], [each.fileno() for each in ends])
for each in ends:
    each.close()
alive, held = os.pipe()
other = os.fork()
if other == 0:  # ends with the leader, however that ends
    os.setpgid(0, 0)
    os.close(held)
    os.read(alive, 1)
    os._exit(0)
while asked := channel.recv(1):
    if asked == b"b":
        os.setpgid(other, other)
    os.tcsetpgrp(0, other if asked == b"b" else os.getpgrp())
    channel.send(b".")
os.kill(other, signal.SIGKILL)
"""


class ForegroundProcess:
    """A context manager. `ours` and `theirs` are a socket pair that the process has made."""

    def __init__(self, terminal: int) -> None:
        self._channel, its = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LEADER, str(its.fileno())],
            stdin=terminal,
            pass_fds=(its.fileno(),),
        )
        its.close()
        _, fds, _, _ = socket.recv_fds(self._channel, 1, 2)
        self.ours, self.theirs = (socket.socket(fileno=fd) for fd in fds)
        self.ours.setblocking(False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_and_go(signal.SIGCONT)
        self._channel.close()
        self.process.wait(120)
        self.ours.close()
        self.theirs.close()

    def background(self) -> None:
        self._ask(b"b")

    def foreground(self) -> None:
        self._ask(b"f")

    def stop_and_go(self, number: int) -> None:
        """Send a signal, and wait until a stop has taken place."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def end(self) -> None:
        """Kill it; it is not waited for yet."""
        self.process.kill()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def _ask(self, what: bytes) -> None:
        self._channel.send(what)
        assert self._channel.recv(1) == b"."

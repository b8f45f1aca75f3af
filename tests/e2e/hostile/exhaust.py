"""Runs in a sandbox: takes all that it can get of something, says how much that was, and holds it.

    python3 exhaust.py processes|descriptors|inotify|ptys|signals|passed [NUMBER]

With NUMBER it takes so many at most, and ends. A line of JSON says {"taken": number, "error": name}.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
held = []


def fork():
    """Each child forks, too: what counts them must stop them all."""
    if os.fork() == 0:
        with contextlib.suppress(OSError):
            os.fork()
        signal.pause()


def watch():
    if LIBC.inotify_init1(0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def queue():
    """Leave one more signal pending."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    if LIBC.sigqueue(os.getpid(), signal.SIGRTMIN, None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def send():
    """Pass some more descriptors on, which nobody receives."""
    held.append(socket.socketpair())
    socket.send_fds(held[-1][0], [b"x"], [0] * 200)


TAKE = {
    "processes": fork,
    "descriptors": lambda: held.append(os.open("/dev/null", os.O_RDONLY)),
    "inotify": watch,
    "ptys": lambda: held.append(os.openpty()),
    "signals": queue,
    "passed": send,
}

taken, error = 0, ""
most = int(sys.argv[2]) if len(sys.argv) > 2 else sys.maxsize
try:
    while taken < most:
        TAKE[sys.argv[1]]()
        taken += 1
except OSError as exc:
    error = errno.errorcode[exc.errno] if exc.errno else str(exc)
sys.stdout.write(json.dumps({"taken": taken, "error": error}) + "\n")
sys.stdout.flush()
if most == sys.maxsize:
    signal.pause()

"""Starting a run's supervisor, so that exactly one lives.

Whoever needs a supervisor holds the run's launch lock while he looks for one and starts one. The new
supervisor inherits the lock and lets go of it when it listens. So a second client waits in `flock`
until the first one's supervisor answers, also when the first client was killed meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from moat.engines.engine import UnsupportedSandboxError
from moat.errors import RunNotActiveError, RunNotFoundError, SupervisorError
from moat.paths import RunFolder
from moat.platform import sockets
from moat.runs import lock

if TYPE_CHECKING:
    import socket
    from pathlib import Path


def connect(home: Path, folder: RunFolder) -> socket.socket:
    """A connection to the run's supervisor, which is started (and re-adopts) where none lives."""
    try:
        return sockets.connect(folder.root, RunFolder.SUPERVISOR_SOCKET)
    except (FileNotFoundError, ConnectionRefusedError):
        pass  # the two answers of a run without a supervisor, dealt with below
    try:
        with lock.locked(folder.launch_lock) as launch_lock:
            try:
                return sockets.connect(folder.root, RunFolder.SUPERVISOR_SOCKET)
            except (FileNotFoundError, ConnectionRefusedError):
                _start(home, folder, launch_lock)
            return sockets.connect(folder.root, RunFolder.SUPERVISOR_SOCKET)
    except FileNotFoundError as exc:
        raise RunNotFoundError(f"run {folder.id} is gone", "See the others: moat list -a") from exc


def is_supervised(folder: RunFolder) -> bool:
    return lock.is_locked(folder.supervisor_lock)


def _start(home: Path, folder: RunFolder, launch_lock: int) -> None:
    """Spawns the supervisor and waits until it listens. Raises `SupervisorError`."""
    ready, ready_theirs = os.pipe()
    try:
        log = os.open(
            folder.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            spawn(home, folder.id, log=log, ready=ready_theirs, held=launch_lock)
        finally:
            os.close(log)
            os.close(ready_theirs)
        with os.fdopen(os.dup(ready), "rb") as file:
            answer = file.read()  # to the end: it says "ready" or why not, and closes
    finally:
        os.close(ready)
    if answer == b"ready":
        return
    if not answer:
        raise SupervisorError(
            f"the supervisor of run {folder.id} ended before it could answer",
            f"See why: {folder.supervisor_log}",
        )
    failure = json.loads(answer)
    kinds = {kind.code: kind for kind in (RunNotActiveError, UnsupportedSandboxError)}
    kind = kinds.get(failure["code"], SupervisorError)
    raise kind(failure["summary"], failure["hint"])


def spawn(home: Path, run_id: str, *, log: int, ready: int, held: int) -> int:
    """A session of its own and no tie to us: it outlives this process and its terminal.

    `held` is the launch lock, or the pipe of a supervisor that waits (`client.standby`).
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # Copies above the numbers that are given out below: a dup2 may not hit one still to be copied.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (null, log, ready, held)]
    os.close(null)
    null, log, ready, held = copies
    try:
        return os.posix_spawn(
            sys.executable,
            # -I: neither the working directory, which the agent may write, nor PYTHON* variables
            # decide what code runs.
            [sys.executable, "-I", "-m", "moat.supervisor", str(home), run_id],
            {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
            | {name: os.environ[name] for name in ("HOME", "MOAT_HOME") if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, ready, 3),
                (os.POSIX_SPAWN_DUP2, held, 4),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(
                signal.SIGPIPE,
                signal.SIGINT,
                signal.SIGHUP,
                signal.SIGTERM,
                signal.SIGXFSZ,
            ),
        )
    finally:
        for fd in copies:
            os.close(fd)

"""Starting the process of a supervisor, or having a spare become one.

`moat run` does this first of all, and whatever is imported before it is waited for. So this module
imports next to nothing.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

from moat.client.connect import spare

_KEPT = ("HOME", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS")


def spawn(home: str, run_id: str, *, log: int, ready: int, held: int) -> None:
    """Start a supervisor in a session of its own, so that it outlives this process and its terminal.

    It writes to `log`, and its answer to `ready` (`supervisor.start`). `held` is the launch lock, or
    the pipe of a supervisor on standby. `home` is the store.
    """
    # Whatever else is in the environment could choose code or certificates, too. XDG_CONFIG_HOME says
    # where git's settings are, which name what is to be protected. The session's bus leads to the
    # keyring with the vault's key.
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "MOAT_HOME": home} | {
        name: os.environ[name] for name in _KEPT if name in os.environ
    }
    if not spare.fork(sys.executable, home, run_id, environment, (log, ready, held)):
        _start(home, run_id, environment, (log, ready, held))


def _start(
    home: str, run_id: str, environment: dict[str, str], descriptors: tuple[int, int, int]
) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # Copies with numbers above those that dup2 gives out below: it may not hit one still to be copied.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (null, *descriptors)]
    os.close(null)
    null, log, ready, held = copies
    try:
        os.posix_spawn(
            sys.executable,
            # -I: neither the working directory, which the agent may write, nor PYTHON* variables
            # decide what code runs.
            [sys.executable, "-I", "-m", "moat.supervisor", home, run_id],
            environment,
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

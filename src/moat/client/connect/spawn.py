"""Starting a process that outlives this one: a supervisor, which a spare may become, or the router.

`moat run` does this first of all, and whatever is imported before it is waited for. So this module
imports next to nothing.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

from moat.client.connect import spare

TYPE_CHECKING = False  # importing `typing` takes time
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEPT = ("HOME", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS")


def spawn(home: str, run_id: str, *, log: int, ready: int, held: int) -> None:
    """Start a supervisor in a session of its own, so that it outlives this process and its terminal.

    It writes to `log`, and its answer to `ready` (`supervisor.start`). `held` is the launch lock, or
    the pipe of a supervisor on standby. `home` is the store.
    """
    variables = environment(home)
    if not spare.fork(sys.executable, home, run_id, variables, (log, ready, held)):
        start(("moat.supervisor", home, run_id), variables, (log, log, ready, held))


def environment(home: str) -> dict[str, str]:
    """Return the environment of a process that outlives this one."""
    # Whatever else is in the environment could choose code or certificates, too. XDG_CONFIG_HOME says
    # where git's settings are, which name what is to be protected. The session's bus leads to the
    # keyring with the vault's key.
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "MOAT_HOME": home} | {
        name: os.environ[name] for name in _KEPT if name in os.environ
    }


def start(module: Sequence[str], variables: Mapping[str, str], given: Sequence[int]) -> None:
    """Start a module with its arguments in a session of its own.

    It has the descriptors `given` as its own from 1 on, and nothing to read from 0.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # Copies with numbers above those that dup2 gives out below: it may not hit one still to be copied.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (null, *given)]
    os.close(null)
    try:
        os.posix_spawn(
            sys.executable,
            # -I: neither the working directory, which the agent may write, nor PYTHON* variables
            # decide what code runs.
            [sys.executable, "-I", "-m", *module],
            variables,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, own) for own, fd in enumerate(copies)],
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

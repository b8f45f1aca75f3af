"""Starting a run's supervisor, so that exactly one lives.

A client holds the run's launch lock while it looks for a supervisor and starts one. The new supervisor
inherits the lock and releases it when it listens. So a second client waits in `flock` until the first
one's supervisor answers, even where the first client has been killed meanwhile.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from moat.client.connect.patience import START_FACTOR, Patience
from moat.client.connect.spawn import spawn
from moat.errors import RunNotActiveError, RunNotFoundError, SupervisorError
from moat.paths import RunFolder
from moat.platform import sockets
from moat.runs import lock

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator
    from pathlib import Path

    from moat.errors import MoatError

# A listener that lives accepts within milliseconds.
_ACCEPT_S: Final = 10.0


def connect(home: Path, folder: RunFolder, patience: Patience | None = None) -> socket.socket:
    """Connect to the run's supervisor, and start one where none lives.

    Raise `SupervisorStuckError` where it accepts nobody, or hangs while it starts; `RunNotFoundError`
    where the run's folder is gone, `RunNotActiveError` where the run has ended and has no supervisor any
    more, and `SupervisorError` where none can be started.
    """
    patience = patience or Patience(home, folder)
    try:
        return _connect(folder)
    except (FileNotFoundError, ConnectionRefusedError):
        pass  # the run has no supervisor
    except BlockingIOError:
        raise patience.stuck() from None
    try:
        with _launch_lock(folder, patience) as launch_lock:
            try:
                return _connect(folder)
            except (FileNotFoundError, ConnectionRefusedError):
                _start(home, folder, launch_lock, patience)
            return _connect(folder)
    except BlockingIOError:
        raise patience.stuck() from None
    except FileNotFoundError as exc:
        raise RunNotFoundError(f"run {folder.id} is gone", "See the others: moat list -a") from exc


def _connect(folder: RunFolder) -> socket.socket:
    return sockets.connect(folder.root, RunFolder.SUPERVISOR_SOCKET, within=_ACCEPT_S)


@contextmanager
def _launch_lock(folder: RunFolder, patience: Patience) -> Generator[int]:
    """Hold the launch lock, which another client may have that starts a supervisor."""
    with ExitStack() as stack:
        held = lock.try_lock(folder.launch_lock)
        if held is not None:
            stack.callback(os.close, held)
        else:
            try:
                within = patience.seconds * START_FACTOR
                held = stack.enter_context(lock.locked(folder.launch_lock, within))
            except TimeoutError:
                raise patience.stuck() from None
        yield held


def is_supervised(folder: RunFolder) -> bool:
    """Return whether the run has a supervisor, by the lock that one holds for life."""
    return lock.is_locked(folder.supervisor_lock)


def _start(home: Path, folder: RunFolder, launch_lock: int, patience: Patience) -> None:
    """Spawn a supervisor, and wait until it listens or says why it can't."""
    ready, ready_write = os.pipe()
    with os.fdopen(ready, "rb") as answers:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            log = os.open(folder.supervisor_log, flags, 0o600)
            try:
                spawn(str(home), folder.id, log=log, ready=ready_write, held=launch_lock)
            finally:
                os.close(log)
        finally:
            os.close(ready_write)
        if not patience.readable(ready, START_FACTOR):
            raise patience.stuck()
        answer = answers.read()  # until the supervisor closes its end, or dies
    if answer != b"ready":
        raise _failure(folder, answer)


def _failure(folder: RunFolder, answer: bytes) -> MoatError:
    if not answer:
        return SupervisorError(
            f"the supervisor of run {folder.id} ended before it could answer",
            f"See why: {folder.supervisor_log}",
        )
    from moat.engines.engine import UnsupportedSandboxError  # noqa: PLC0415  loads slowly

    failure = json.loads(answer)
    kinds = {kind.code: kind for kind in (RunNotActiveError, UnsupportedSandboxError)}
    kind = kinds.get(failure["code"], SupervisorError)
    return kind(failure["summary"], failure["hint"])

"""The start of a supervisor, in a process of its own or in one that a spare has forked.

Descriptor 3 is a pipe: "ready" goes there, or a failure as JSON. Descriptor 4 holds the run's launch
lock and is closed as soon as clients can connect; or it is a pipe, on which the word comes that the
run exists (`client.standby`). What can be done before the heavy imports is done before them: clients
connect, and the shim starts, while this process still loads.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import stat
import sys
from typing import TYPE_CHECKING, Final

from moat.engines import registry
from moat.errors import MoatError, RunNotActiveError
from moat.paths import RunFolder
from moat.platform import sockets
from moat.platform.process import name_process
from moat.runs import lock
from moat.runs.states import State
from moat.runs.store import Store
from moat.supervisor import spare_launch
from moat.wire import spare

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "moat-supervisor"
"""The name of a supervisor's process, as `ps -o comm` shows it."""
READY, LAUNCH_LOCK = 3, 4
# What takes time to load, in pieces of a few milliseconds: between two of them we look whether the
# run exists. The first starts its sandbox.
HEAVY: Final = (
    *("moat.engines.under_shim.shim_client", "ssl", "subprocess", "concurrent.futures.thread"),
    *("asyncio", "uvloop", "moat.session.io", "moat.workspace.protected_paths"),
    *("moat.workspace.covers", "moat.workspace.snapshot", "moat.engines.bubblewrap.host_checks"),
    "moat.workspace.recorder",
    *("moat.ground.check", "moat.engines.under_shim.writable_areas"),
    *("moat.engines.bubblewrap.layout", "moat.engines.bubblewrap.engine", "moat.session.session"),
    *("moat.egress.upstream.dialer", "moat.egress.policy.engine", "moat.egress.http.h1.server"),
    *("moat.egress.gateway", "moat.supervisor.run", "moat.supervisor.main", "moat.egress.tls.ca"),
)


def main(home: Path, run_id: str) -> None:
    gc.disable()  # while this process loads: what is imported stays
    os.closerange(LAUNCH_LOCK + 1, os.sysconf("SC_OPEN_MAX"))
    # Children that nobody waits for (a shim that ended) leave no zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # A closed terminal or a Ctrl-C of the client's is none of our business.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    name_process(NAME)  # one that was forked from a spare has the arguments of that
    os.chdir("/")  # the client's folder may be on a file system that is to be unmounted
    spare_waits = None
    if stat.S_ISFIFO(os.fstat(LAUNCH_LOCK).st_mode) and _stand_by(home, run_id):
        spare_waits = _leave_spare(home)
    try:
        # Whoever has the launch lock is the only one that starts a supervisor. So if another one holds
        # the supervisor lock, it is leaving, and needs a moment.
        with Store(home) as store, lock.locked(store.folder(run_id).supervisor_lock):
            folder = store.folder(run_id)
            run, spec = store.get(run_id), store.spec(run_id)
            if run.ended or folder.imported.exists():
                raise RunNotActiveError(f"run {run.name} is {run.state}: nothing to supervise")
            if run.state is not State.CREATED:
                registry.check_version(spec, folder)
            listener = sockets.listen(folder.root, RunFolder.SUPERVISOR_SOCKET)
            _answer(b"ready")
            if run.state is State.CREATED:
                registry.warm_up(spec, folder)
                from moat.workspace import recorder  # noqa: PLC0415  loaded on standby

                is_copy = bool(spec.copy)
                recorder.begin(folder, spec.work_folder, spec.exclude, is_copy=is_copy)
            from moat.supervisor.main import supervise  # noqa: PLC0415  heavy

            gc.freeze()
            gc.enable()
            supervise(store, spec, listener, lambda: _let_load(spare_waits))
    except MoatError as error:
        _answer(
            json.dumps({"summary": error.summary, "hint": error.hint, "code": error.code}).encode()
        )
        raise SystemExit(1) from None


def _stand_by(home: Path, run_id: str) -> bool:
    """Load until the run exists, and be a supervisor like any other. End where none does, or it has one.

    Return whether a spare is to be left for the starts that follow.
    """
    for module in HEAVY:
        if select.select([LAUNCH_LOCK], [], [], 0)[0]:
            break
        importlib.import_module(module)
    word = os.read(LAUNCH_LOCK, 1)
    if not word:
        raise SystemExit(0)
    folder = RunFolder(home / "runs" / run_id)
    log = os.open(folder.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    with lock.locked(folder.launch_lock) as held:
        if lock.is_locked(folder.supervisor_lock):
            raise SystemExit(0)  # the client has started another, since this one was too late
        os.dup2(held, LAUNCH_LOCK, inheritable=False)
    return word == spare.GO_AND_LEAVE_ONE


def _leave_spare(home: Path) -> int | None:
    """Start a spare for the starts that follow. It loads once the descriptor returned is closed."""
    try:
        return spare_launch.begin(home)
    except OSError as exc:
        # The next start takes longer, that is all.
        sys.stderr.write(f"no spare was started: {exc}\n")
        return None


def _let_load(spare_waits: int | None) -> None:
    if spare_waits is not None:
        os.close(spare_waits)


def _answer(text: bytes) -> None:
    """Tells the client that started us, once, and lets other clients in."""
    try:
        os.write(READY, text)
        os.close(READY)
        os.close(LAUNCH_LOCK)
    except OSError:
        # The client died meanwhile (EPIPE), or has had its answer (EBADF): the log has the rest.
        sys.stderr.write(text.decode() + "\n")

"""`python -I -m moat.supervisor.spare HOME`, started by `spare_launch`.

Descriptor 0 is a pipe, which closes when there is time to load.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.platform.inotify import FolderWatch
from moat.platform.process import name_process
from moat.supervisor import start
from moat.supervisor.spare import files, server
from moat.supervisor.spare_claim import Claim
from moat.supervisor.spare_launch import own_identity
from moat.wire import spare as wire

if TYPE_CHECKING:
    from moat.supervisor.spare.server import Birth

# What supervisors load once their runs have begun.
LATE: Final = ("moat.workspace.cleanup",)


def main(home: Path) -> None:
    """Be the store's spare; in a process that is forked from it, be a supervisor."""
    started_at = files.now()
    gc.disable()  # what is loaded stays, and pages that nobody writes are shared with every child
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    name_process("moat-spare")
    identity = own_identity()
    claim = Claim.take(home, identity)
    if claim is None:
        return
    birth: Birth | None = None
    try:
        _wait_for_time()
        claim.remove_dead()
        for module in (*start.HEAVY, *LATE):
            importlib.import_module(module)
        loaded = files.LoadedFiles(started_at)
        gc.freeze()
        if loaded.are_current:
            with FolderWatch(claim.folder) as changes, claim.listen() as listener:
                service = server.Service(listener, claim.folder / claim.socket, identity, loaded)
                birth = service.serve(changes)
    finally:
        if birth is None:
            claim.give_up()
    if birth is not None:
        os.close(claim.fileno())
        _become(birth)


def _wait_for_time() -> None:
    """Wait until the run that this process was started with has begun, and let go of it."""
    os.read(0, 1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)


def _become(birth: Birth) -> None:
    """Be what `client.connect.spawn` would have started."""
    os.setsid()
    request = birth.request
    descriptors = birth.receive()
    if len(descriptors) != len(wire.DESCRIPTORS):
        return
    # Numbers above those that are given out here: none may hit one that is still to be copied.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in descriptors]
    for fd in descriptors:
        os.close(fd)
    log, ready, held = copies
    for source, target in ((log, 1), (log, 2), (ready, start.READY), (held, start.LAUNCH_LOCK)):
        os.dup2(source, target)
    for fd in copies:
        os.close(fd)
    os.environ.clear()
    os.environ.update(request.environment)
    start.main(Path(request.home), request.run_id)


main(Path(sys.argv[1]))

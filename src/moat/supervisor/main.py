"""The life of a supervisor's process, after `__main__` has taken the run's lock."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import uvloop

from moat.errors import StoreError
from moat.supervisor.api import serve
from moat.supervisor.log_file import BoundedLog
from moat.supervisor.run import Supervisor
from moat.supervisor.state import RETRY_S
from moat.supervisor.tasks import BackgroundTasks
from moat.version import __version__

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from moat.runs.store import Store
    from moat.spec import RunSpec

log = logging.getLogger(__name__)

# After so many attempts, a second apart, a run that never began stays in the list.
REMOVAL_ATTEMPTS: Final = 30


def supervise(
    store: Store, spec: RunSpec, listener: socket.socket, begun: Callable[[], None]
) -> None:
    """Serve until the run has ended and nobody watches any more, or until SIGTERM.

    `begun` is called once the run's command has begun, or can't.
    """
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(name)s: %(message)s",
        handlers=[BoundedLog(store.folder(spec.id).supervisor_log)],
    )
    log.info("supervisor %s of run %s (%s)", __version__, spec.id, spec.name)
    with listener:
        uvloop.run(_live(store, spec, listener, begun))


async def _live(
    store: Store, spec: RunSpec, listener: socket.socket, begun: Callable[[], None]
) -> None:
    async with BackgroundTasks() as tasks:
        supervisor = Supervisor(store, spec, tasks)
        server = await serve(supervisor, listener)
        try:
            await supervisor.begin()
            begun()
            await supervisor.teardown.over.wait()
        finally:
            server.close()
            supervisor.leave()
    await supervisor.audit.close(complete=supervisor.teardown.complete)
    if supervisor.teardown.removes_run:
        await _remove(store, spec)


async def _remove(store: Store, spec: RunSpec) -> None:
    """Remove the run from the store. On a full disk even that takes room, which may come soon."""
    for _ in range(REMOVAL_ATTEMPTS):
        try:
            store.remove(spec.id)
        except StoreError as exc:
            log.error("run not removed, trying again: %s", exc.summary)  # noqa: TRY400  no traceback
            await asyncio.sleep(RETRY_S)
        else:
            return

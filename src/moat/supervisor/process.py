"""The life of a supervisor's process."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import uvloop

from moat.errors import StoreError
from moat.supervisor.api import serve
from moat.supervisor.background import Background
from moat.supervisor.state import RETRY_S
from moat.supervisor.supervisor import Supervisor
from moat.version import __version__

if TYPE_CHECKING:
    import socket

    from moat.runs.store import Store
    from moat.spec import RunSpec

log = logging.getLogger(__name__)

# A run that never began and that can't be removed for so many seconds stays in the list.
REMOVAL_ATTEMPTS: Final = 30


def supervise(store: Store, spec: RunSpec, listener: socket.socket) -> None:
    """Runs until the run has ended and nobody watches any more, or until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    log.info("supervisor %s of run %s (%s)", __version__, spec.id, spec.name)
    with listener:
        uvloop.run(_live(store, spec, listener))


async def _live(store: Store, spec: RunSpec, listener: socket.socket) -> None:
    async with Background() as background:
        supervisor = Supervisor(store, spec, asyncio.get_running_loop(), background)
        server = await serve(supervisor, listener)
        try:
            await supervisor.begin()
            await supervisor.over.wait()
        finally:
            server.close()
            supervisor.leave()
    if supervisor.removes_itself:
        await _remove(store, spec)


async def _remove(store: Store, spec: RunSpec) -> None:
    """Even deleting takes a full disk some room, which may come soon."""
    for _ in range(REMOVAL_ATTEMPTS):
        try:
            store.remove(spec.id)
        except StoreError as exc:
            log.error("run not removed, trying again: %s", exc.summary)  # noqa: TRY400  no traceback
            await asyncio.sleep(RETRY_S)
        else:
            return

"""The life of the router's process, which a client has given its sockets and its lock."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any, Final

import uvloop

from moat.client.connect.launch import is_supervised
from moat.client.watch.run_list import RunList
from moat.platform.inotify import FolderWatch
from moat.platform.process import name_process
from moat.ports import router_place
from moat.router.control import Control
from moat.router.directory import Directory
from moat.router.lifetime import Lifetime
from moat.router.server import RouterServer
from moat.runs.store import Store
from moat.supervisor.log_file import BoundedLog
from moat.supervisor.tasks import BackgroundTasks
from moat.version import __version__

if TYPE_CHECKING:
    import socket
    from pathlib import Path

log = logging.getLogger(__name__)

NAME: Final = "moat-router"
"""The name of the process, as `ps -o comm` shows it."""


def main(home: Path, control: socket.socket, listeners: list[socket.socket]) -> None:
    """Serve until nobody needs the router, or until it is told to stop."""
    # Supervisors that it starts, and that nobody waits for, leave no zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    name_process(NAME)
    os.chdir("/")  # the client's folder may be on a file system that is to be unmounted
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(name)s: %(message)s",
        handlers=[BoundedLog(router_place.log_file(home))],
    )
    log.info("router %s at port %d", __version__, listeners[0].getsockname()[1])
    uvloop.run(_live(home, control, listeners))


async def _live(home: Path, control: socket.socket, listeners: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    with Directory(home) as directory, FolderWatch(home / router_place.FOLDER) as own_files:
        async with BackgroundTasks() as tasks:
            server = RouterServer(home, directory, loop, tasks.start)
            port = listeners[0].getsockname()[1]

            def status() -> dict[str, Any]:
                runs = directory.table.runs
                return {"port": port, "ports": sum(len(run.ports) for run in runs)}

            async def is_needed() -> bool:
                return not server.idle or await asyncio.to_thread(_has_ports, home)

            def changed() -> None:
                own_files.drain()
                if not router_place.lock_file(home).exists():
                    stop.set()  # the store is removed

            async def end() -> None:
                await lifetime.over()
                stop.set()

            lifetime = Lifetime(is_needed)
            answers = Control(status, lifetime.needed, stop)
            server.serve(listeners)
            loop.add_reader(own_files, changed)
            tasks.start(end())
            asked = await asyncio.start_unix_server(answers.serve, sock=control)
            try:
                await stop.wait()
            finally:
                loop.remove_reader(own_files)
                asked.close()
                server.close()
    log.info("the router ends")


def _has_ports(home: Path) -> bool:
    """Tell whether a run has open ports. One whose supervisor is gone gets another first."""
    if not (home / "moat.db").exists():
        return False
    with Store(home) as store:
        return any(
            run.ports and is_supervised(store.folder(run.id))
            for run in RunList(store, ended=False).read()
        )

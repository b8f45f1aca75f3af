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
from moat.errors import MoatError
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
    with Directory(home) as directory, FolderWatch(home / router_place.FOLDER) as own_files:
        async with BackgroundTasks() as tasks:
            process = _Process(home, directory, own_files, tasks)
            try:
                await process.serve(control, listeners)
            finally:
                process.close()
    log.info("the router ends")


class _Process:
    """The router from its first connection to its end."""

    def __init__(
        self, home: Path, directory: Directory, own_files: FolderWatch, tasks: BackgroundTasks
    ) -> None:
        self._home = home
        self._directory = directory
        self._own_files = own_files
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._server = RouterServer(home, directory, self._loop, tasks.start)
        self._lifetime = Lifetime(self._is_needed)
        self._asked: asyncio.Server | None = None
        self._port = 0

    async def serve(self, control: socket.socket, listeners: list[socket.socket]) -> None:
        """Serve until nobody needs the router, or until it is told to stop."""
        self._port = listeners[0].getsockname()[1]
        self._server.serve(listeners)
        self._loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        self._loop.add_reader(self._own_files, self._own_files_changed)
        self._tasks.start(self._end_when_idle())
        answers = Control(self._status, self._lifetime.needed, self._stop)
        self._asked = await asyncio.start_unix_server(answers.serve, sock=control)
        await self._stop.wait()

    def close(self) -> None:
        if self._asked is not None:
            self._asked.close()
        self._loop.remove_reader(self._own_files)
        self._server.close()

    def _status(self) -> dict[str, Any]:
        try:
            runs = self._directory.table.runs
        except MoatError as exc:
            return {"port": self._port, "ports": 0, "error": exc.summary}
        return {"port": self._port, "ports": sum(len(run.ports) for run in runs)}

    async def _is_needed(self) -> bool:
        if not self._server.idle:
            return True
        try:
            return await asyncio.to_thread(_has_ports, self._home)
        except MoatError as exc:
            log.warning("the runs can't be read: %s", exc.summary)
            return True

    async def _end_when_idle(self) -> None:
        await self._lifetime.over()
        self._stop.set()

    def _own_files_changed(self) -> None:
        self._own_files.drain()
        if not router_place.lock_file(self._home).exists():
            self._stop.set()  # the store has been removed


def _has_ports(home: Path) -> bool:
    """Tell whether a run has open ports. One whose supervisor is gone gets another first."""
    if not (home / "moat.db").exists():
        return False
    with Store(home) as store:
        return any(
            run.ports and is_supervised(store.folder(run.id))
            for run in RunList(store, ended=False).read()
        )

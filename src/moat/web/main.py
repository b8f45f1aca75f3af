"""The process of `moat web`: it listens, says where, and serves until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from websockets.asyncio.server import serve

from moat.ports import binding
from moat.web.access import Access, unguessable_name
from moat.web.messages import MAX_BYTES
from moat.web.server import PageServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path


def run(home: Path, port: int, *, read_only: bool, listens: Callable[[Access], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; one of them that is ignored goes on to be.

    `listens` is called once the page can be opened. Raise `PortUnavailableError`.
    """
    logging.basicConfig(level=logging.WARNING, format="moat: %(message)s")
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # clients that break off
    # Supervisors that it starts, and that nobody waits for, leave no zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listeners = _bind(port)
    access = Access(unguessable_name(), listeners[0].getsockname()[1])
    asyncio.run(_serve(home, access, listeners, read_only=read_only, listens=listens))


def _bind(port: int) -> list[socket.socket]:
    """Return sockets of both loopbacks: a browser may try either, and must find nobody else there."""
    try:
        return list(binding.bind_free(binding.LOOPBACK, port).values())
    except OSError as exc:
        why = os.strerror(exc.errno or 0).lower()
        raise binding.PortUnavailableError(
            f"the page can't have port {port}: {why}",
            "Choose another with --port; without it, it is one that is free",
        ) from exc


async def _serve(
    home: Path,
    access: Access,
    listeners: list[socket.socket],
    *,
    read_only: bool,
    listens: Callable[[Access], None],
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it, and a shell's `&`
            loop.add_signal_handler(number, stopped.set)
    server = PageServer(home, access, read_only=read_only)
    async with AsyncExitStack() as stack:
        for each in listeners:
            await stack.enter_async_context(
                serve(
                    server.serve,
                    sock=each,
                    process_request=server.answer,
                    compression=None,
                    max_size=MAX_BYTES,
                    max_queue=4,
                    server_header=None,
                    close_timeout=2,
                )
            )
        listens(access)
        await stopped.wait()

"""Asking a service, again and again, whether it is ready."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError
from moat.ports.dialed import connected
from moat.services.readiness import MOST_BYTES, Verdict, exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moat.services.readiness import Exchange
    from moat.spec import Service

    Dial = Callable[[str, int], Awaitable[int]]

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.5
ANSWER_S: Final = 5.0
"""Patience with one answer; a service that begins to listen before it can answer is asked anew."""


async def ask(
    loop: asyncio.AbstractEventLoop,
    dial: Dial,
    service: Service,
    variables: Mapping[str, str],
) -> None:
    """Return once a service is ready; the caller sets the deadline. Raises `MoatError`.

    The kernel tells nobody that somebody begins to listen, so this tries, at growing intervals.
    """
    what = exchange(service.ready, variables)
    pause = FIRST_PAUSE_S
    while True:
        verdict = Verdict.NOT_READY
        try:
            async with asyncio.timeout(ANSWER_S):
                verdict = await _asked(loop, dial, service, what)
        except (OSError, TimeoutError) as exc:
            log.debug("service %s: %r", service.name, exc)
        if verdict is Verdict.READY:
            return
        if verdict is Verdict.REFUSED:
            raise MoatError(
                f"service {service.name} does not take its password",
                "The data in its volume may be from elsewhere: moat volume list",
            )
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE_S, 2 * pause)


async def _asked(
    loop: asyncio.AbstractEventLoop, dial: Dial, service: Service, what: Exchange | None
) -> Verdict:
    """Ask once. Raises `OSError`."""
    fd = await dial(service.ready.address, service.ready_port)
    with socket.socket(fileno=fd) as sock:
        sock.setblocking(False)
        await connected(loop, sock)
        if what is None:
            return Verdict.READY
        await loop.sock_sendall(sock, what.request)
        data = b""
        while len(data) < MOST_BYTES:
            piece = await loop.sock_recv(sock, MOST_BYTES)
            data += piece
            verdict = what.judge(data)
            if verdict is not Verdict.MORE:
                return verdict
            if not piece:
                break
        return Verdict.NOT_READY

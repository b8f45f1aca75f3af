"""Certificates for the servers that a run talks to, made when they are first needed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    from moat.egress.authority import Authority

LIMIT: Final = 512
"""Certificates kept; the one used longest ago goes first."""


class Leaves:
    def __init__(self, authority: Authority, loop: asyncio.AbstractEventLoop) -> None:
        self._authority = authority
        self._loop = loop
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._made: dict[str, asyncio.Future[ssl.SSLContext]] = {}

    def get(self, host: str) -> ssl.SSLContext | None:
        """The one that is there."""
        context = self._contexts.get(host)
        if context is not None:
            self._contexts.move_to_end(host)
        return context

    async def context(self, host: str) -> ssl.SSLContext:
        """For a canonical host; made in a thread, once for all who wait for it."""
        known = self.get(host)
        if known is not None:
            return known
        making = self._made.get(host)
        if making is None:
            making = self._loop.run_in_executor(None, self._authority.context, host)
            self._made[host] = making
            making.add_done_callback(lambda done: self._keep(host, done))
        return await asyncio.shield(making)

    def _keep(self, host: str, made: asyncio.Future[ssl.SSLContext]) -> None:
        del self._made[host]
        if made.cancelled() or made.exception() is not None:
            return
        self._contexts[host] = made.result()
        if len(self._contexts) > LIMIT:
            self._contexts.popitem(last=False)

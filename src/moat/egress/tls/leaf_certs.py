"""Certificates for the servers that a run talks to, made when they are first needed.

Programs in the sandbox choose the names, and how often they come. So what waits and what is kept is
bounded, also what OpenSSL keeps on its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    from moat.egress.tls.ca import CertificateAuthority

LIMIT: Final = 512
"""Certificates kept, 20 KiB each; the one used longest ago goes first."""
MAX_PENDING: Final = 256
"""Names whose certificate is being made: a third of a second of work."""
USES: Final = 128
"""Connections that share a context.

OpenSSL remembers each TLS 1.2 session of a client without tickets, 1 KiB, up to 20,480 in a context
and for two hours; `ssl` can't turn that off. It forgets them with the context.
"""
LIFETIME_S: Final = 30 * 24 * 3600.0
"""A certificate is valid for longer; a run may be, too."""


class TooManyNamesError(OSError):
    """More new names at once than certificates are made for."""


@dataclass(slots=True)
class _Kept:
    context: ssl.SSLContext
    until: float
    """By the clock that certificates go by."""
    uses_left: int = USES


class LeafCertificates:
    def __init__(self, authority: CertificateAuthority, loop: asyncio.AbstractEventLoop) -> None:
        self._authority = authority
        self._loop = loop
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._making: dict[str, asyncio.Future[None]] = {}

    def get(self, host: str) -> ssl.SSLContext | None:
        """The one that is there, for one connection."""
        kept = self._kept.get(host)
        if kept is None:
            return None
        if not kept.uses_left or time.time() > kept.until:
            del self._kept[host]
            return None
        kept.uses_left -= 1
        self._kept.move_to_end(host)
        return kept.context

    async def context(self, host: str) -> ssl.SSLContext:
        """For one connection to a canonical host; made in a thread, once for all who wait for it.

        Raises `TooManyNamesError`.
        """
        # More may have waited than share a context. This ends, because what is in `_making` is never
        # done: each round waits for a new certificate.
        while (context := self.get(host)) is None:
            # Whoever gives up waiting takes it from nobody else.
            await asyncio.shield(self._making.get(host) or self._make(host))
        return context

    def _make(self, host: str) -> asyncio.Future[None]:
        """Done when it is kept, or could not be made; then it is in `_making` no more."""
        if len(self._making) >= MAX_PENDING:
            raise TooManyNamesError(f"certificates for {MAX_PENDING} other names are being made")
        minted = self._loop.run_in_executor(None, self._authority.context, host)
        making = self._making[host] = self._loop.create_future()
        minted.add_done_callback(lambda minted: self._keep(host, minted))
        return making

    def _keep(self, host: str, minted: asyncio.Future[ssl.SSLContext]) -> None:
        making = self._making.pop(host)
        if minted.cancelled():
            making.cancel()
            return
        error = minted.exception()
        if error is not None:
            making.set_exception(error)
            making.exception()  # looked at, for those who waited may be gone
            return
        self._kept[host] = _Kept(minted.result(), time.time() + LIFETIME_S)
        if len(self._kept) > LIMIT:
            self._kept.popitem(last=False)
        making.set_result(None)

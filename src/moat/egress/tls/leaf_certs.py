"""Leaf certificates for the servers that a sandbox talks to, made when they are first needed.

Programs of the sandbox choose the names, and how often they connect. So the certificates that are kept
and the requests for new ones are bounded, and so is what OpenSSL keeps by itself. New ones are made at
a rate that leaves the processor to others: after a burst, each waits for its turn.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from moat.egress.tls.ca import CertificateAuthority

LIMIT: Final = 512
"""Certificates that are kept, 20 KiB each; the one that was used longest ago goes first."""
MAX_PENDING: Final = 256
"""Certificates that are being made, or wait for their turn."""
BURST: Final = 200
"""Certificates that are made at once: a quarter of a second of work."""
RATE: Final = 50.0
"""Certificates a second after that: some twentieth of a processor."""
USES: Final = 128
"""Connections that share a context.

OpenSSL keeps each TLS 1.2 session of a client without tickets, 1 KiB, up to 20,480 in a context
and for two hours; `ssl` can't turn that off. It forgets them with the context.
"""
LIFETIME_S: Final = 30 * 24 * 3600.0
"""Certificates are valid for longer than they are used, and a run may last longer."""


class TooManyNamesError(OSError):
    """More certificates are wanted than may wait for their turn."""


@dataclass(slots=True)
class _Kept:
    context: ssl.SSLContext
    until: float
    """Wall-clock time, by which certificates expire."""
    uses_left: int = USES


class LeafCertificates:
    def __init__(
        self,
        authority: CertificateAuthority,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authority = authority
        self._loop = loop
        self._clock = clock
        self._turn = clock() - BURST / RATE
        """Time at which the last certificate was due, had each come at the rate."""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._making: dict[str, asyncio.Future[None]] = {}

    def get(self, host: str) -> ssl.SSLContext | None:
        """Return the context for one connection to a host, if there is a certificate."""
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
        """Return the context for one connection to a canonical host, with a new certificate if needed.

        The certificate is made in a thread, once for all that wait for it. Raises `TooManyNamesError`.
        """
        # More connections may have waited than share a context. The loop ends, because a future in
        # `_making` is never done: each round waits for a new certificate.
        while (context := self.get(host)) is None:
            # A caller that is cancelled takes the certificate from nobody else.
            await asyncio.shield(self._making.get(host) or self._make(host))
        return context

    def _make(self, host: str) -> asyncio.Future[None]:
        """Make a certificate in its turn; then the future is done, and not in `_making` any more."""
        if len(self._making) >= MAX_PENDING:
            raise TooManyNamesError(
                f"too many names: certificates for {MAX_PENDING} others are wanted already"
            )
        making = self._making[host] = self._loop.create_future()
        now = self._clock()
        self._turn = max(self._turn + 1 / RATE, now - BURST / RATE)
        if self._turn > now:
            self._loop.call_later(self._turn - now, self._mint, host)
        else:
            self._mint(host)
        return making

    def _mint(self, host: str) -> None:
        minted = self._loop.run_in_executor(None, self._authority.context, host)
        minted.add_done_callback(lambda minted: self._keep(host, minted))

    def _keep(self, host: str, minted: asyncio.Future[ssl.SSLContext]) -> None:
        making = self._making.pop(host)
        if minted.cancelled():
            making.cancel()
            return
        error = minted.exception()
        if error is not None:
            making.set_exception(error)
            making.exception()  # marks it as retrieved: nobody may be waiting any more
            return
        self._kept[host] = _Kept(minted.result(), time.time() + LIFETIME_S)
        if len(self._kept) > LIMIT:
            self._kept.popitem(last=False)
        making.set_result(None)

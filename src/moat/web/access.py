"""The door of the server: the things that a request has to show before it is served. Pure.

Any web page can have the user's browser send requests to the loopback. So the server has a name that
nobody can guess, a request must be for that name, a WebSocket must come from the server's own page, and
the first message on it must be a secret. The name is new each time that a server starts, too: what an
earlier server at the same port has left in the browser (storage, a service worker) is another site's.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES: Final = 32


def unguessable_name() -> str:
    """Return a host name of this machine's loopback, as browsers take all names below `localhost`."""
    return f"moat-{secrets.token_hex(8)}.localhost"


class Access:
    """The secrets of one server, and its place."""

    def __init__(self, name: str, port: int) -> None:
        self.authority = f"{name}:{port}"
        self.origin = f"http://{self.authority}"
        self.token = secrets.token_urlsafe(_BYTES)
        """The secret of every page."""
        self._ticket: str | None = None

    @property
    def url(self) -> str:
        """The page's address. Browsers send no part of it that is behind the `#`."""
        return f"{self.origin}/#{self.token}"

    def one_time_url(self) -> str:
        """Return an address that is good for one page: other users see the arguments of a process."""
        self._ticket = secrets.token_urlsafe(_BYTES)
        return f"{self.origin}/#{self._ticket}"

    def admits(self, secret: str) -> bool:
        """Tell whether the secret is the token, or a ticket that nobody has shown before."""
        if self._ticket is not None and _equal(secret, self._ticket):
            self._ticket = None
            return True
        return _equal(secret, self.token)

    def is_for_us(self, hosts: Sequence[str]) -> bool:
        """Tell whether a request with these `Host` fields is for this server (DNS rebinding)."""
        return list(hosts) == [self.authority]

    def is_from_our_page(self, origins: Sequence[str]) -> bool:
        """Tell whether a request with these `Origin` fields comes from this server's own page."""
        return list(origins) == [self.origin]


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())

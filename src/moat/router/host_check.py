"""The check of the requests to the router: which host each is for. Pure.

A connection may carry requests for different hosts, and each is led by its own. Whether there is such a
host is for the table to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import BadMessageError
from moat.egress.http.origin_check import CheckedTarget, authority_of, split_target

if TYPE_CHECKING:
    from moat.egress.http.messages import RequestHead


class HostCheck:
    """The check of one connection's requests. Implements `TargetCheck`."""

    destination: Destination | None = None

    def __init__(self, scheme: str) -> None:
        """`scheme`: `https` on a connection with TLS, else `http`."""
        self._scheme = scheme
        self._last: tuple[bytes, Destination] | None = None
        """The last Host field, and what it means: most requests have the same."""

    def described(self, why: str) -> str:
        return why

    def check(self, request: RequestHead) -> CheckedTarget:
        target = request.target
        if self._last is not None and target[0] == "/" and "#" not in target:
            host, destination = self._last
            if request.host == host:
                return CheckedTarget(destination, target)
        return self._check_closely(request)

    def _check_closely(self, request: RequestHead) -> CheckedTarget:
        if request.method == "CONNECT":
            raise BadMessageError("this is no proxy: it opens no tunnels", 405)
        named, target = split_target(request)
        if named is not None and named.scheme != self._scheme:
            raise BadMessageError(f"the request is for {named.scheme}, which this connection isn't")
        if request.host is None:
            if named is None:
                raise BadMessageError("the request has no Host")
            return CheckedTarget(named, target)
        destination = Destination(self._scheme, *authority_of(self._scheme, request.host))
        if named is not None and named.key != destination.key:
            raise BadMessageError("Host and URL name different servers")
        self._last = request.host, destination
        return CheckedTarget(destination, target)

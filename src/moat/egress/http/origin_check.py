"""The check that what a program dialled, its TLS handshake and its requests all name one server. Pure.

A request that names another server is answered by the proxy and sent nowhere, because every rule and
every credential depends on that name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import BadMessageError
from moat.egress.names import canonical_host
from moat.egress.policy.decision import Decision, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.messages import RequestHead

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class CheckedTarget(NamedTuple):
    """The destination of a request."""

    destination: Destination
    target: str
    """The request's target in origin-form, or `*`."""
    refusal: Decision | None = None
    """The reason why the request isn't sent."""
    status: int = 403
    """The status to refuse it with."""


class TargetCheck(Protocol):
    """The check of one connection's requests, as the protocol needs it that serves the connection."""

    @property
    def destination(self) -> Destination | None:
        """The server of all requests; `None` where each request names its own."""
        ...

    def described(self, why: str) -> str:
        """Return the reason why the connection ended, with more if the check knows more."""
        ...

    def check(self, request: RequestHead) -> CheckedTarget:
        """Raise `BadMessageError` for a request that names no server in a valid form."""
        ...


class OriginCheck:
    """The check of the requests on a connection from the sandbox."""

    __slots__ = ("_refusal", "destination", "mismatch")

    def __init__(
        self,
        destination: Destination | None,
        mismatch: str = "",
        *,
        refusal: Callable[[str, int], Decision | None] | None = None,
    ) -> None:
        """`refusal`: why no request on the proxy's own port may name a host and port."""
        self.destination = destination
        """The server that was dialled; `None` on the proxy's own port, where each request names one."""
        self.mismatch = mismatch
        """The reason why every request is refused: the handshake named another server."""
        self._refusal = refusal

    def described(self, why: str) -> str:
        """Return the reason why the connection ended, with the mismatch if there is one."""
        return f"{why}; {self.mismatch}" if self.mismatch else why

    def check(self, request: RequestHead) -> CheckedTarget:
        """Raise `BadMessageError` for a request that names no server in a valid form."""
        target = request.target
        destination = self.destination
        if (
            destination is not None
            and request.host == destination.authority
            and target[0] == "/"
            and "#" not in target
            and not self.mismatch
        ):
            return CheckedTarget(destination, target)
        return self._check_closely(request)

    def _check_closely(self, request: RequestHead) -> CheckedTarget:
        if request.method == "CONNECT":
            if self.destination is None:
                raise BadMessageError("CONNECT must be the first request on its connection")
            raise BadMessageError("CONNECT is for the proxy's own port", 405)
        named, target = split_target(request)
        if self.destination is None:
            destination = _named_twice(named, request.host)
            _, host, port = destination.key
            refusal = None if self._refusal is None else self._refusal(host, port)
            return CheckedTarget(destination, target, refusal)
        if self.mismatch:
            return _misdirected(self.destination, target, self.mismatch)
        dialled = self.destination.key
        keys = [] if named is None else [named.key]
        if request.host is not None:
            keys.append((dialled[0], *authority_of(dialled[0], request.host)))
        for key in keys:
            if key != dialled:
                why = f"the request is for {_shown(key)}, the connection for {_shown(dialled)}"
                return _misdirected(self.destination, target, why)
        return CheckedTarget(self.destination, target)


def _named_twice(named: Destination | None, host: bytes | None) -> Destination:
    """Return the server of a request to the proxy's own port, which URL and Host name alike."""
    if named is None:
        raise BadMessageError("a request to the proxy must name the whole URL")
    if host is not None and authority_of(named.scheme, host) != named.key[1:]:
        raise BadMessageError("Host and URL name different servers")
    return named


def _misdirected(destination: Destination, target: str, why: str) -> CheckedTarget:
    """Refuse a request that another server should get (RFC 9110 15.5.20)."""
    decision = Decision(Verdict.DENY, "one destination", f"moat: denied: {why}")
    return CheckedTarget(destination, target, decision, 421)


def _shown(key: tuple[str, str, int]) -> str:
    scheme, host, port = key
    return f"{scheme}://{host}:{port}"


_ABSOLUTE: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(
    # A-labels only: servers would take other bytes literally, or in an encoding of their own.
    r"(\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\]|[\x21-\x39\x3b-\x5a\x5c\x5e-\x7e]+)(?::([0-9]{1,5}))?"
)


def split_target(request: RequestHead) -> tuple[Destination | None, str]:
    """Return the server that the target names, if any, and the target in origin-form.

    Raises `BadMessageError`.
    """
    target = request.target
    if target == "*" and request.method == "OPTIONS":
        return None, target
    if "#" in target:
        raise BadMessageError("the target has a fragment")
    if target.startswith("/"):
        return None, target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadMessageError("the target is neither a path nor a URL")
    scheme = match[1].lower()
    path = match[3]
    if not path.startswith("/"):
        path = f"/{path}"
    return Destination(scheme, *authority_of(scheme, match[2].encode("ascii"))), path


def authority_of(scheme: str, text: bytes) -> tuple[str, int]:
    """Parse a Host field. Raises `BadMessageError`."""
    return parse_authority(text.decode("latin-1"), _DEFAULT_PORTS[scheme])


def parse_authority(text: str, default_port: int) -> tuple[str, int]:
    """Parse `host[:port]` (RFC 3986 3.2), and make the host canonical. Raises `BadMessageError`."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadMessageError("malformed host")
    port = int(match[2]) if match[2] else default_port
    try:
        host = canonical_host(match[1].strip("[]"))
    except ValueError as exc:
        raise BadMessageError(f"malformed host: {exc}") from None
    if not 0 < port < 65536:
        raise BadMessageError("the port is out of range")
    return host, port

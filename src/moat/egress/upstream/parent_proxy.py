"""The parent proxy, which is the host's own: which servers are reached through it, and how it is asked.

Pure. The host's other programs take the same URLs and exceptions from `HTTPS_PROXY`, `HTTP_PROXY` and
`NO_PROXY`. No standard specifies these, so this module does what curl does, with the CIDRs and ports of
Go's httpproxy.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from moat.egress.http.h1.parser import head_end, parse_response_head
from moat.egress.http.messages import BadMessageError
from moat.egress.http.secret_masking import Secrets
from moat.spec.hosts import endpoint

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from moat.egress.http.interfaces import Destination
    from moat.egress.http.messages import ResponseHead
    from moat.egress.traffic.entry import Fields

_PORTS: Final = {"http": 80, "https": 443}
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_REASON_LIMIT: Final = 120

_ADVICE: Final = {
    407: "it wants a user and password: http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY, HTTP_PROXY",
}


class RefusedError(Exception):
    """The proxy refused; the text says what it answered, in one line."""


@dataclass(frozen=True, slots=True)
class ParentProxy:
    secure: bool
    """The proxy itself is reached over TLS (`https://`)."""
    host: str
    port: int
    authorization: str
    """The value of `Proxy-Authorization`; empty if the URL has no user."""
    exceptions: tuple[_Exception, ...]

    @classmethod
    def parse(cls, url: str, exceptions: str) -> ParentProxy:
        """Parse a URL, and exceptions in the form of NO_PROXY.

        Raises `ValueError`, whose text never has the URL's password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The parser's own message may quote the password.
            raise ValueError("the upstream proxy is not a URL") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("the upstream proxy is not an http:// or https:// URL with a host")
        login = b"%b:%b" % (
            unquote_to_bytes(parts.username or ""),
            unquote_to_bytes(parts.password or ""),
        )
        basic = f"Basic {base64.b64encode(login).decode('ascii')}"
        return cls(
            secure=parts.scheme == "https",
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            authorization="" if parts.username is None else basic,
            exceptions=tuple(map(_Exception.parse, exceptions.replace(",", " ").split())),
        )

    @property
    def name(self) -> str:
        """The URL without the password, as it may be shown."""
        return f"{'https' if self.secure else 'http'}://{endpoint(self.host, self.port)}"

    def leads_to(self, host: str, port: int, address: IPv4Address | IPv6Address | None) -> bool:
        """Tell whether a server is reached through the proxy.

        `address`: the host's, if it has one without a lookup: a literal, or one of `network.hosts`.
        """
        if host == "localhost" or (address is not None and address.is_loopback):
            return False
        return not any(each.names(host, port, address) for each in self.exceptions)

    def absolute(self, destination: Destination, target: str) -> tuple[str, Fields]:
        """Return a target in absolute-form (RFC 9112 3.2.2), and the fields for the proxy."""
        # `*` becomes an empty path (RFC 9112 3.2.4).
        path = "" if target == "*" else target
        login = self.authorization.encode("ascii")
        return (
            f"http://{destination.authority.decode('ascii')}{path}",
            [(b"Proxy-Authorization", login)] if login else [],
        )

    def secrets(self) -> Secrets:
        """Return the credentials in each form in which the proxy could repeat them."""
        login = self.authorization.rpartition(" ")[2]
        quoted = quote(login, safe="")
        forms = (login, quoted, re.sub("%..", lambda found: found[0].lower(), quoted))
        return Secrets(*(each.encode("ascii") for each in forms))

    def explain(self, answer: ResponseHead) -> str:
        """Describe in one line what the proxy answered, and what to do about it."""
        return refusal(answer)

    def request(self, host: str, port: int) -> bytes:
        """Return the head of a CONNECT."""
        target = endpoint(host, port)
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        return "\r\n".join((*lines, "", "")).encode("ascii")


@dataclass(frozen=True, slots=True)
class _Exception:
    """An entry of NO_PROXY: `*`, `[.]name[:port]`, `address[:port]` or a CIDR."""

    name: str = ""
    """A name, which stands for all names below it, too; "*" is every host."""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> _Exception:
        text = text.lower()
        try:
            return cls(network=ip_network(text.strip("[]"), strict=False))
        except ValueError:
            host, port = _split_port(text)
        try:
            return cls(network=ip_network(host.strip("[]")), port=port)
        except ValueError:
            return cls(name=host.removeprefix("*.").strip("."), port=port)

    def names(self, host: str, port: int, address: IPv4Address | IPv6Address | None) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address is not None and address in self.network
        return self.name in {"*", host} or (self.name != "" and host.endswith(f".{self.name}"))


def _split_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon and port.isdecimal() else (text, None)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a canonical host is, if it is one."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def answer_size(data: bytes) -> int | None:
    """Return the size of the proxy's answer to CONNECT, after which the tunnel begins.

    `None` while the answer is incomplete. Raises `RefusedError` if it opens no tunnel.
    """
    try:
        end = head_end(data)
        if end < 0:
            return None
        answer = parse_response_head(data[:end], "CONNECT")
    except BadMessageError as exc:
        raise RefusedError(f"answered what is not HTTP: {exc}") from exc
    # Any 2xx opens the tunnel, and fields about a body are ignored (RFC 9110 9.3.6).
    if 200 <= answer.status < 300:
        return end
    raise RefusedError(refusal(answer))


def refusal(answer: ResponseHead) -> str:
    """Describe in one line what a proxy answered, and what to do about it."""
    reason = _UNPRINTABLE.sub("?", answer.reason.decode("latin-1"))[:_REASON_LIMIT]
    line = f"answered {answer.status} {reason}".rstrip()
    advice = _ADVICE.get(answer.status)
    return line if advice is None else f"{line}: {advice}"

"""Host names and addresses in one form each, so that a rule means the same however they are written.

Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

MAX_NAME: Final = 253
_NAME: Final = re.compile(
    r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII
)
# The addresses that inet_aton(3) accepts: one to four parts, each decimal, octal or hexadecimal.
_NUMBERS: Final = re.compile(
    r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII | re.IGNORECASE
)
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_NUMERIC_END: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII | re.IGNORECASE)


def canonical_host(text: str) -> str:
    """Return the one form of a name or an address.

    A name is in lower case, in A-labels (UTS 46) and without a final dot. An address is in its usual
    form. Text that the C library takes for an IPv4 address is one (`2130706433`, `0x7f.1`), and so is an
    IPv6 address that maps one (`::ffff:127.0.0.1`). Raises `ValueError` for anything else; the message
    leaves out the parts of `text` that may be secret.
    """
    host = text.removesuffix(".")
    if ":" in host:
        return _ipv6(host)
    if not host.isascii():
        host = _in_a_labels(host).removesuffix(".")
    host = host.lower()
    # The URL standard (ends-in-a-number checker): such a host is an IPv4 address or invalid.
    if _NUMERIC_END.fullmatch(host):
        return _ipv4(host)
    if len(host) > MAX_NAME or not _NAME.fullmatch(host):
        raise ValueError(f"{_quoted(text)} is not a host name")
    return host


def is_address(host: str) -> bool:
    """Tell whether a canonical host is an address rather than a name."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def endpoint(host: str, port: int) -> str:
    """Return `host:port`, with the brackets of an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a canonical host is; `None` for a name."""
    return ip_address(host) if is_address(host) else None


def embedded_ipv4(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that a connection to `address` may reach.

    They are embedded in it: mapped and compatible (RFC 4291), 6to4 (RFC 3056), Teredo (RFC 4380), NAT64
    (RFC 6052 and 8215).
    """
    found = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    if address.teredo is not None:
        found += address.teredo
    low = int(address)
    if any(address in network for network in _NAT64) or (1 < low < 1 << 32):
        found.append(IPv4Address(low & 0xFFFFFFFF))
    return found


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{_quoted(text)} is an address with a zone")
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(f"{_quoted(text)} is not a host name") from None
    return str(address.ipv4_mapped or address)


def _ipv4(text: str) -> str:
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f"{_quoted(text)} is not an address")
    *heads, last = (_number(part) for part in text.split("."))
    if any(each > 255 for each in heads) or last >= 256 ** (4 - len(heads)):
        raise ValueError(f"{_quoted(text)} is not an address")
    whole = sum(each << (24 - 8 * at) for at, each in enumerate(heads)) + last
    return str(IPv4Address(whole))


def _number(part: str) -> int:
    if len(part) > 16:
        raise ValueError("a number in an address is too long")
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    if len(part) > 1 and part.startswith("0"):
        return int(part, 8)
    return int(part)


def _in_a_labels(host: str) -> str:
    import idna  # noqa: PLC0415  nearly all names are ASCII

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as exc:
        raise ValueError(f"{_quoted(host)} is not a host name: {exc}") from None


def _quoted(text: str) -> str:
    """Quote what isn't secret in `text`: no user name, password, path or query."""
    _, user, host = text.rpartition("@")
    return repr(("***@" if user else "") + re.split(r"[/?#]", host)[0][:80])

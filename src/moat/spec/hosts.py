"""Names of servers in one form, so that a rule means the same whoever writes the name. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

MAX_NAME: Final = 253
_NAME: Final = re.compile(
    r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII
)
# What inet_aton(3) takes: one to four parts, each decimal, octal or hexadecimal.
_NUMBERS: Final = re.compile(
    r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII | re.IGNORECASE
)
_NUMERIC_END: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII | re.IGNORECASE)


def canonical_host(text: str) -> str:
    """A name in lower case, in A-labels (UTS 46), without the last dot; an address in its usual form.

    What the C library would take for an IPv4 address is one (`2130706433`, `0x7f.1`). Raises
    `ValueError` for anything that names no server.
    """
    host = text.removesuffix(".")
    if ":" in host:
        return _ipv6(host)
    if not host.isascii():
        host = _in_a_labels(host).removesuffix(".")
    host = host.lower()
    # As the URL standard has it: what ends in a number is an IPv4 address, or nothing at all.
    if _NUMERIC_END.fullmatch(host):
        return _ipv4(host)
    if len(host) > MAX_NAME or not _NAME.fullmatch(host):
        raise ValueError(f"{text[:80]!r} is not the name of a server")
    return host


def is_address(host: str) -> bool:
    """Of a canonical host."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Of a canonical host; `None` for a name."""
    return ip_address(host) if is_address(host) else None


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{text[:80]!r} is an address with a zone")
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is not the name of a server") from None


def _ipv4(text: str) -> str:
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not an address")
    *heads, last = (_number(part) for part in text.split("."))
    if any(each > 255 for each in heads) or last >= 256 ** (4 - len(heads)):
        raise ValueError(f"{text[:80]!r} is not an address")
    whole = sum(each << (24 - 8 * at) for at, each in enumerate(heads)) + last
    return str(IPv4Address(whole))


def _number(part: str) -> int:
    if len(part) > 16:
        raise ValueError("a number of an address is too long")
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    if len(part) > 1 and part.startswith("0"):
        return int(part, 8)
    return int(part)


def _in_a_labels(host: str) -> str:
    import idna  # noqa: PLC0415  names are ASCII nearly always

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as exc:
        raise ValueError(f"{host[:80]!r} is not the name of a server: {exc}") from None

"""The language of rules: `allow|deny [METHOD] host[:port][/path]`. Pure.

    host    `*` is one label, `**` any number of them (at least one); an address, or a CIDR, stands for
            itself and no wildcard but a lone `**` matches it; an IPv6 address with a port has brackets
    port    a number; any, where none is given
    path    `*` is one segment, `**` any number of them; without one, any path

A path is compared in each form in which servers may understand it (`request_path`). A rule that
denies one denies it in any case: to some servers `/Admin` is `/admin`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, Literal

from moat.errors import UsageError
from moat.spec import request_path
from moat.spec.hosts import address_of, canonical_host, carried_by, is_address

Action = Literal["allow", "deny"]

_SYNTAX: Final = re.compile(
    r"(?P<action>allow|deny) +(?:(?P<method>[A-Z]{1,20}|\*) +)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:/[0-9]+)?\]"
    r"|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/[0-9]{1,3}$)?"
    r"|[^\s/:\[\]]+(?:/[0-9]{1,3}(?=$|:))?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/\S*)?"
)
_HINT: Final = (
    "Write: allow|deny [METHOD] host[:port][/path], as in: deny POST *.example.com/admin/**"
)
_SCHEME: Final = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://")
# As a host it would be a forgotten one: nobody writes a name of one label so.
_METHODS: Final = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS CONNECT TRACE".split())


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    action: Action
    method: str | None
    host: str
    port: int | None
    path: str | None
    _host: re.Pattern[str] | None
    """`None` for an address or a network."""
    _network: IPv4Network | IPv6Network | None
    _path: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str, written: str | None = None) -> Rule:
        """`written`: the part of it that the user wrote. Raises `UsageError` that names that."""
        hint = _HINT if written is None else "Write HOST or HOST:PORT"
        written = written or text
        match = _SYNTAX.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"{written!r} is not a rule", _advice(text) or hint)
        if match["method"] is None and match["host"] in _METHODS:
            raise UsageError(f"{written!r} names a method and no host", hint)
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UsageError(f"{written!r}: {port} is not a port", hint)
        try:
            host, pattern, network = _host(match["host"])
            action: Action = "allow" if match["action"] == "allow" else "deny"
            # Every path there is: then none need be understood, and an encoded slash is no matter.
            path = None if match["path"] == "/**" else match["path"]
            pattern_of_path = None if path is None else _path_pattern(path, action)
        except ValueError as exc:
            raise UsageError(f"{written!r}: {exc}", hint) from None
        method = None if match["method"] in {None, "*"} else match["method"]
        words = " ".join(text.split())
        return cls(words, action, method, host, port, path, pattern, network, pattern_of_path)

    def matches_host(self, host: str, port: int | None) -> bool:
        """Of a canonical host; without a port, whether it could match with one."""
        if self.port is not None and port is not None and self.port != port:
            return False
        if self._network is not None:
            return self._holds(host, self._network)
        if is_address(host) and self.host != "**":
            return False
        return self._host is not None and self._host.fullmatch(host) is not None

    def _holds(self, host: str, network: IPv4Network | IPv6Network) -> bool:
        address = address_of(host)
        if address is None or address in network:
            return address is not None
        if self.action == "allow" or not isinstance(address, IPv6Address):
            return False
        # A translator on the way would take it to the address that is denied.
        return any(each in network for each in carried_by(address))

    def matches_method(self, method: str) -> bool:
        """In whichever case: to some servers `delete` is DELETE."""
        return self.method is None or self.method == method.upper()

    def matches_path(self, path: str) -> bool:
        """Of one that `request_path` has understood."""
        return self._path is None or self._path.fullmatch(path) is not None


def _advice(text: str) -> str | None:
    """What is most often meant by a rule that is none."""
    if not text.isprintable():
        return None  # a file's, perhaps: it is quoted, but never printed as it is
    if _SCHEME.search(text):
        return f"Leave the scheme away: {_SCHEME.sub('', text).rstrip('/')}"
    words = text.split()
    if len(words) > 2 and words[1].upper() in _METHODS:
        words[1] = words[1].upper()
        return f"Methods are written in capitals: {' '.join(words)}"
    return None


def host_rule(host: str, action: Action = "allow") -> Rule:
    """For a bare host, as `network.allow` has them. Raises `UsageError`."""
    rule = Rule.parse(f"{action} {host}", host)
    if rule.path is not None:
        raise UsageError(f"{host!r} is not a host", "Write a rule into network.rules")
    return rule


def _host(text: str) -> tuple[str, re.Pattern[str] | None, IPv4Network | IPv6Network | None]:
    bare = text.strip("[]")
    if bare == text and ":" in bare:
        address, _, port = bare.rpartition(":")
        if port.isdecimal() and _is_ipv6(address):
            raise ValueError(f"an address, or one and a port? Write [{bare}] or [{address}]:{port}")
    if "/" in bare or ":" in bare:
        network = _unmapped(ip_network(bare, strict=False))
        return str(network), None, network
    if "*" not in bare:
        host = canonical_host(bare)
        if is_address(host):
            return host, None, ip_network(host)
        return host, re.compile(re.escape(host)), None
    labels = bare.lower().removesuffix(".").split(".")
    for label in labels:
        if "*" in label and label not in {"*", "**"}:
            raise ValueError(f"in {bare!r}, * stands for a whole label")
        if "*" not in label:
            canonical_host(f"{label}.a")
    host = ".".join(
        label if "*" in label else canonical_host(f"{label}.a")[:-2] for label in labels
    )
    return (
        host,
        re.compile(r"\.".join(_LABELS.get(each, re.escape(each)) for each in host.split("."))),
        None,
    )


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """As canonical hosts are: what holds only IPv4 addresses, mapped (RFC 4291), is of IPv4."""
    mapped = network.network_address
    if isinstance(mapped, IPv6Address) and mapped.ipv4_mapped and network.prefixlen >= 96:
        return IPv4Network((mapped.ipv4_mapped, network.prefixlen - 96))
    return network


_LABELS: Final = {"*": r"[^.]+", "**": r"[^.]+(?:\.[^.]+)*"}


def _path_pattern(text: str, action: Action) -> re.Pattern[str]:
    paths, clear = request_path.spellings(text)
    if not clear and "*" not in text:
        raise ValueError(f"path {text!r} can be understood in more than one way")
    globs = "|".join(_glob(each.split("/")[1:]) for each in paths)
    return re.compile(globs, re.DOTALL | (re.IGNORECASE if action == "deny" else 0))


_SEGMENTS: Final = r"(?:/[^/]*+)*"


def _glob(segments: list[str]) -> str:
    """Matches in time linear to the path, which a hostile program writes.

    What stands between two stars may be taken where it first occurs, once for all (atomic groups):
    if the rest does not match after it, it matches nowhere later either.
    """
    runs: list[str] = [""]
    for segment in segments:
        if segment == "**":
            runs.append("")
        else:
            runs[-1] += "/" + _segment(segment)
    first, *between = runs
    if not between:
        return first
    last = between.pop()
    middle = "".join(rf"(?>{_SEGMENTS}?{run}(?=/|\Z))" for run in between if run)
    return first + middle + _SEGMENTS + last


def _segment(segment: str) -> str:
    first, *between = (re.escape(each) for each in segment.split("*"))
    if not between:
        return first
    last = between.pop()
    return first + "".join(f"(?>[^/]*?{each})" for each in between) + "[^/]*" + last

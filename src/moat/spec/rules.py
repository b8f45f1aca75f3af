"""The language of rules: `allow|deny [METHOD] host[:port][/path]`. Pure.

    host    `*` is one label, `**` any number of them (at least one); an address, or a CIDR, stands for
            itself and no wildcard but a lone `**` matches it
    port    a number; any, where none is given
    path    `*` is one segment, `**` any number of them; without one, any path

A path is compared as servers understand it: percent-encoded characters that need no encoding are
decoded, dot segments and empty segments are resolved, a slash at the end, parameters (`;x`) and the
query are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal

from moat.errors import UsageError
from moat.spec.hosts import address_of, canonical_host, is_address

Action = Literal["allow", "deny"]

_SYNTAX: Final = re.compile(
    r"(?P<action>allow|deny) +(?:(?P<method>[A-Z]{1,20}|\*) +)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:/[0-9]+)?\]|[^\s/:\[\]]+(?:/[0-9]{1,3}(?=$|:))?)"
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
            path = None if match["path"] is None else _path_pattern(match["path"])
        except ValueError as exc:
            raise UsageError(f"{written!r}: {exc}", hint) from None
        method = None if match["method"] in {None, "*"} else match["method"]
        action: Action = "allow" if match["action"] == "allow" else "deny"
        words = " ".join(text.split())
        return cls(words, action, method, host, port, match["path"], pattern, network, path)

    def matches_host(self, host: str, port: int | None) -> bool:
        """Of a canonical host; without a port, whether it could match with one."""
        if self.port is not None and port is not None and self.port != port:
            return False
        if self._network is not None:
            address = address_of(host)
            return address is not None and address in self._network
        if is_address(host) and self.host != "**":
            return False
        return self._host is not None and self._host.fullmatch(host) is not None

    def matches_method(self, method: str) -> bool:
        """In whichever case: to some servers `delete` is DELETE."""
        return self.method is None or self.method == method.upper()

    def matches_path(self, path: str) -> bool:
        """Of a normalised path."""
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
    if "/" in bare or ":" in bare:
        network = ip_network(bare, strict=False)
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


_LABELS: Final = {"*": r"[^.]+", "**": r"[^.]+(?:\.[^.]+)*"}


def _path_pattern(text: str) -> re.Pattern[str]:
    known, clear = normalised(text)
    if not clear and "*" not in text:
        raise ValueError(f"path {text!r} can be understood in more than one way")
    return re.compile(_glob(known.split("/")[1:]), re.DOTALL)


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


_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
)


_KNOWN_LENGTH: Final = 2048
"""Characters of a target that is worth remembering: a hostile program has many that are longer."""


def normalised(target: str) -> tuple[str, bool]:
    """The path of a request target as rules see it, and whether all servers see the same.

    (RFC 3986 6.2.2.) An encoded slash or zero, a backslash, a double encoding, or an encoding that is
    none: servers differ about these.
    """
    return _known(target) if len(target) <= _KNOWN_LENGTH else _normalised(target)


def _normalised(target: str) -> tuple[str, bool]:
    path = target.partition("?")[0].partition("#")[0]
    clear = "\\" not in path and "%" not in _ENCODED.sub("", path)

    def decode(match: re.Match[str]) -> str:
        nonlocal clear
        byte = int(match[1], 16)
        if byte in b"/\\%;?#" or byte < 0x20 or byte == 0x7F:
            clear = False
        return chr(byte) if byte in _UNRESERVED else match[0].upper()

    path = _ENCODED.sub(decode, path)
    if ";" in path:
        clear = False
        path = re.sub(r";[^/]*", "", path)
    segments: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in {"", "."}:
            segments.append(segment)
    return "/" + "/".join(segments), clear


_known = lru_cache(maxsize=1024)(_normalised)

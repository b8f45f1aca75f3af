"""The language of rules: `allow|deny [METHOD] host[:port][/path]`. Pure.

    host    `*` is one label, `**` any number of labels (at least one). An address or a network in CIDR
            notation means itself, and no wildcard matches it except a lone `**`. An IPv6 address with a
            port stands in brackets.
    port    A number. Without one, any port.
    path    `*` is one segment, `**` any number of segments. Without one, any path.

A path is compared in each form in which a server may understand it (`request_path`). A rule that denies
a path also denies what it turns into on a server that ignores case, streams or invisible characters
(`path_skeleton`): to some servers `/Admin` is `/admin`, and so is `/admin::$DATA`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from moat.errors import UsageError
from moat.spec.host_pattern import HostPattern, parse_host_pattern
from moat.spec.path_pattern import compile_path_pattern, compile_skeleton_pattern

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
# In the place of a host, one of these is a method whose host was forgotten: no host is called GET.
_METHODS: Final = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS CONNECT TRACE".split())


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    """The rule as it was written, with single spaces."""
    action: Action
    method: str | None
    port: int | None
    path: str | None
    """`None` for every path. Such a rule is decided without understanding the path."""
    _host: HostPattern
    _path: re.Pattern[str] | None
    _skeleton: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str, written: str | None = None) -> Rule:
        """Parse a rule, of which the user wrote the part `written` (by default all of it).

        Raises `UsageError` that quotes what the user wrote.
        """
        hint = _HINT if written is None else "Write HOST or HOST:PORT"
        written = written or text
        match = _SYNTAX.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"{written!r} is not a rule", _advice(text) or hint)
        try:
            return cls._from(match)
        except ValueError as exc:
            raise UsageError(f"{written!r}: {exc}", hint) from None

    @classmethod
    def _from(cls, match: re.Match[str]) -> Rule:
        if match["method"] is None and match["host"] in _METHODS:
            raise ValueError("there is a method, but no host")
        action = cast("Action", match["action"])
        # With `/**` an encoded slash doesn't matter, either: it is every path that there is.
        path = None if match["path"] == "/**" else match["path"]
        return cls(
            text=" ".join(match[0].split()),
            action=action,
            method=None if match["method"] == "*" else match["method"],
            port=_port(match["port"]),
            path=path,
            _host=parse_host_pattern(match["host"]),
            _path=None
            if path is None
            else compile_path_pattern(path, ignore_case=action == "deny"),
            _skeleton=None if path is None else compile_skeleton_pattern(path),
        )

    @property
    def host(self) -> str:
        return self._host.text

    def matches_host(self, host: str, port: int | None) -> bool:
        """Tell whether the rule is about a canonical host; without a port, whether it is on any port.

        A rule that denies an IPv4 address also denies the IPv6 addresses in which it is embedded.
        """
        if self.port is not None and port is not None and self.port != port:
            return False
        return self._host.matches(host, embedded=self.action == "deny")

    def matches_method(self, method: str) -> bool:
        """Tell whether the rule is about a method, in any case: to some servers `delete` is DELETE."""
        return self.method is None or self.method == method.upper()

    def matches_path(self, path: str) -> bool:
        """Tell whether the rule is about a path, one of `request_path.interpretations`."""
        return self._path is None or self._path.fullmatch(path) is not None

    def matches_skeleton(self, path: str) -> bool:
        """Tell whether the rule is about paths with a skeleton, one of `path_skeleton.skeletons`."""
        return self._skeleton is None or self._skeleton.fullmatch(path) is not None


def host_rule(host: str, action: Action = "allow") -> Rule:
    """Return the rule that a bare host stands for, as in `network.allow`. Raises `UsageError`."""
    rule = Rule.parse(f"{action} {host}", host)
    if rule.path is not None:
        raise UsageError(f"{host!r} is not a host", "Write a rule into network.rules")
    return rule


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    return port


def _advice(text: str) -> str | None:
    """Return a hint for the commonest mistakes."""
    if not text.isprintable():
        return None  # it may come from a file, and would reach the terminal as it is
    if _SCHEME.search(text):
        return f"Leave the scheme away: {_SCHEME.sub('', text).rstrip('/')}"
    words = text.split()
    if len(words) > 2 and words[1].upper() in _METHODS:
        words[1] = words[1].upper()
        return f"Methods are written in capitals: {' '.join(words)}"
    return None

"""The fields of `network:`, in `agent.yaml` and in the user's settings alike."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat.config.certificates import read_certificates
from moat.config.fields import Field, positive
from moat.errors import UsageError
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.spec.network import Capture, PolicyMode

MODES: Final[tuple[PolicyMode, ...]] = ("permissive", "ask", "strict")
"""Each stricter than the one before."""
CAPTURES: Final[tuple[Capture, ...]] = ("none", "headers", "bodies")
"""Each recording more than the one before."""

OPENING: Final = ("allow", "tcp", "passthrough", "hosts", "private", "upstream_ca")
"""What makes more reachable, or less of it seen; so do rules that allow."""


def check_rule(text: str) -> None:
    from moat.spec.rules import Rule  # noqa: PLC0415  only where somebody wrote rules

    Rule.parse(text)


def check_host(text: str) -> None:
    """What may stand for a host in a rule: no method before it, and no more than a port behind."""
    if not text or "/" in text or len(text.split()) != 1:
        raise ValueError(f"{text!r} is not a host")
    check_rule(f"allow {text}")


def _endpoint(text: str) -> None:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ValueError(f"{text!r} is not host:port")
    check_host(text)


def _pattern(text: str) -> None:
    """Of names, without a port: what passes unread is known by its SNI alone."""
    if ":" in text:
        raise ValueError(f"{text!r} is not the name of a host")
    check_host(text)


def _override(name: str, address: str) -> None:
    import ipaddress  # noqa: PLC0415  only where somebody overrides

    if "*" in name:
        raise ValueError(f"{name!r} is not the name of a host")
    _pattern(name)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"{address!r} for {name} is not an IP address") from None


def _private(text: str) -> None:
    import ipaddress  # noqa: PLC0415  as above

    try:
        ipaddress.ip_network(text)
    except ValueError as exc:
        if "/" in text:
            raise ValueError(f"{text!r} is neither a network nor a host: {exc}") from None
        check_host(text)


def _duration(value: str) -> None:
    positive(parse_duration(value))


_TIMEOUTS: Final = {
    "connect": Field("quantity", "Finding a server and connecting to it.", _duration),
    "tls": Field("quantity", "A TLS handshake.", _duration),
    "header": Field("quantity", "From a request's first byte to its head's last.", _duration),
    "idle": Field("quantity", "Without a byte in either direction.", _duration),
}

FIELDS: Final[Mapping[str, Field]] = {
    "policy": Field(
        "enum",
        "What happens to a request that no rule is for: it passes, it waits for an answer, or it"
        " is denied.",
        choices=MODES,
    ),
    "rules": Field(
        "strings",
        "allow|deny [METHOD] host[:port][/path]; the first that matches decides.",
        each=check_rule,
    ),
    "allow": Field("strings", "Hosts that are allowed, after the rules.", each=check_host),
    "tcp": Field("strings", "host:port to which raw TCP is opened.", each=_endpoint),
    "passthrough": Field(
        "strings", "Hosts whose TLS is passed on unread, for clients that pin.", each=_pattern
    ),
    "hosts": Field("map", "Addresses of names, instead of what DNS says.", each=_override),
    "private": Field(
        "strings", "Networks (10.0.0.0/8) and hosts that may be private.", each=_private
    ),
    "upstream_ca": Field("string", "A file of PEM certificates to trust, too."),
    "capture": Field("enum", "What is recorded besides the requests.", choices=CAPTURES),
    "ask_timeout": Field(
        "quantity", "How long a request waits for an answer: 60s.", parse_duration
    ),
    "timeouts": Field("object", "When the proxy gives up: 10s, 15m.", fields=_TIMEOUTS),
}


def of_project(folder: Path, *, narrowing: bool) -> dict[str, Field]:
    """The fields for a file in `folder`; a narrowing one may open nothing."""

    def readable(path: str) -> None:
        read_certificates(folder / path)

    fields = {**FIELDS, "upstream_ca": replace(FIELDS["upstream_ca"], check=readable)}
    if not narrowing:
        return fields
    closed = {name: replace(fields[name], check=_closed, each=None) for name in OPENING}
    return fields | closed | {"rules": replace(fields["rules"], each=_denial)}


def of_user() -> dict[str, Field]:
    return {
        **FIELDS,
        "upstream_ca": replace(FIELDS["upstream_ca"], check=_user_ca),
        "trust_project": Field(
            "boolean", "Whether agent.yaml may open anything, or only deny; true by default."
        ),
    }


def user_path(text: str) -> Path:
    """Of the settings, which lie in no project; `~` is the home."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  leaves an unknown user's as it is


def _user_ca(text: str) -> None:
    if not user_path(text).is_absolute():
        raise UsageError(f"{text!r} is not an absolute path", "Begin it with / or ~/")
    read_certificates(user_path(text))


def _closed(_value: Any) -> None:
    raise UsageError(
        "your settings let a project open nothing (network.trust_project: false)",
        "Write it into your settings, $MOAT_HOME/config.yaml, or allow a host to one run:"
        " moat run --allow HOST",
    )


def _denial(rule: str) -> None:
    check_rule(rule)
    if not rule.lstrip().startswith("deny"):
        _closed(rule)

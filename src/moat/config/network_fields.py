"""The fields of `network:`, in `agent.yaml` and in the user's settings alike."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat.config.certificates import read_certificates
from moat.config.fields import Field, positive
from moat.errors import UsageError
from moat.spec.hosts import canonical_host, is_address
from moat.spec.network import DNS_PORT, PROXY_PORT
from moat.spec.rules import Rule, host_rule
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.spec.network import Capture, PolicyMode

MODES: Final[tuple[PolicyMode, ...]] = ("permissive", "ask", "strict")
"""Each stricter than the one before."""
CAPTURES: Final[tuple[Capture, ...]] = ("none", "headers", "bodies")
"""Each recording more than the one before."""

_TAKEN: Final = {
    DNS_PORT: "in a run, port 53 of every address is Moat's DNS",
    PROXY_PORT: "in a run, port 3128 is Moat's own proxy",
}

OPENING: Final = ("allow", "tcp", "passthrough", "hosts", "private", "upstream_ca")
"""What makes more reachable, or less of it seen; so do rules that allow."""


def check_host(text: str) -> None:
    """As a host stands in a rule, with a port or without: `*.example.com`, `[fd00::/8]:8080`."""
    if "://" in text:
        raise UsageError(f"{text!r} is a URL, not a host", "Leave the scheme and the path away")
    # A method before it would make it a narrower rule than it looks.
    if len(text.split()) != 1:
        raise ValueError(f"{text!r} is not a host")
    host_rule(text)


def _endpoint(text: str) -> None:
    check_host(text)
    port = host_rule(text).port
    if port is None:
        raise UsageError(f"{text!r} names no port", "Write host:port")
    if port in _TAKEN:
        raise UsageError(f"{text!r} can't be opened: {_TAKEN[port]}", "Name another port of it")


def _without_port(text: str) -> None:
    check_host(text)
    if host_rule(text).port is not None:
        raise ValueError(f"{text!r} is not a host alone: a port means nothing here")


def _override(name: str, address: str) -> None:
    host, _, port = name.rpartition(":")
    if port.isdecimal() and ":" not in host:
        raise UsageError(f"{name!r} is not a host alone", "Leave the port away")
    if is_address(canonical_host(name)):
        raise ValueError(f"{name!r} is an address itself")
    try:
        # An address with a zone means another thing on each machine.
        if "%" in ipaddress.ip_address(address).compressed:
            raise ValueError(address)
    except ValueError:
        raise ValueError(f"{address!r} for {name} is not an IP address") from None


def _private(text: str) -> None:
    try:
        ipaddress.ip_network(text.strip("[]"))
    except ValueError as exc:
        if "/" in text:
            raise ValueError(f"{text!r} is neither a network nor a host: {exc}") from None
    _without_port(bracketed(text))


def bracketed(text: str) -> str:
    """An IPv6 address or network as rules have them, in brackets; anything else as it is."""
    return f"[{text}]" if text.count(":") > 1 and "[" not in text else text


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
        each=Rule.parse,
    ),
    "allow": Field("strings", "Hosts that are allowed, after the rules.", each=check_host),
    "tcp": Field("strings", "host:port to which raw TCP is opened.", each=_endpoint),
    "passthrough": Field(
        "strings", "Hosts whose TLS is passed on unread, for clients that pin.", each=_without_port
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
    if Rule.parse(rule).action != "deny":
        _closed(rule)

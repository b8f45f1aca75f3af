"""The fields of `network:`, which `agent.yaml` and the user's settings have in common."""

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
"""Policies, each stricter than the one before it."""
CAPTURES: Final[tuple[Capture, ...]] = ("none", "headers", "bodies")
"""Captures, each recording more than the one before it."""

_RESERVED_PORTS: Final = {
    DNS_PORT: "in a run, port 53 of every address is Moat's DNS",
    PROXY_PORT: "in a run, port 3128 is Moat's own proxy",
}

_OPENING: Final = ("allow", "tcp", "passthrough", "hosts", "private", "upstream_ca")
"""Fields that make more reachable, or less of it visible to Moat. Rules that allow do so, too."""


def check_host(text: str) -> None:
    """Check a host with or without a port, as a rule has it: `*.example.com`, `[fd00::/8]:8080`.

    Raises `UsageError` or `ValueError`.
    """
    if "://" in text:
        raise UsageError(f"{text!r} is a URL, not a host", "Leave the scheme and the path away")
    # A method before the host would make the rule narrower than it looks.
    if len(text.split()) != 1:
        raise ValueError(f"{text!r} is not a host")
    host_rule(text)


def _check_endpoint(text: str) -> None:
    check_host(text)
    port = host_rule(text).port
    if port is None:
        raise UsageError(f"{text!r} names no port", "Write host:port")
    if port in _RESERVED_PORTS:
        raise UsageError(f"{text!r} can't be opened: {_RESERVED_PORTS[port]}", "Name another port")


def _check_without_port(text: str) -> None:
    check_host(text)
    if host_rule(text).port is not None:
        raise ValueError(f"{text!r} has a port, which means nothing here")


def _check_override(name: str, address: str) -> None:
    host, _, port = name.rpartition(":")
    if port.isdecimal() and ":" not in host:
        raise UsageError(f"{name!r} has a port, which means nothing here", "Leave the port away")
    if is_address(canonical_host(name)):
        raise ValueError(f"{name!r} is an address itself")
    try:
        # An address with a zone means another host on each machine.
        if "%" in ipaddress.ip_address(address).compressed:
            raise ValueError(address)
    except ValueError:
        raise ValueError(f"{address!r} for {name} is not an IP address") from None


def _check_private(text: str) -> None:
    try:
        ipaddress.ip_network(text.strip("[]"))
    except ValueError as exc:
        if "/" in text:
            raise ValueError(f"{text!r} is neither a network nor a host: {exc}") from None
    _check_without_port(bracketed(text))


def bracketed(text: str) -> str:
    """Return an IPv6 address or network in brackets, as rules have it, and anything else unchanged."""
    return f"[{text}]" if text.count(":") > 1 and "[" not in text else text


def _check_timeout(value: str) -> None:
    positive(parse_duration(value))


_TIMEOUTS: Final = {
    "connect": Field(
        "quantity", "Resolving the name of a server and connecting to it.", _check_timeout
    ),
    "tls": Field("quantity", "A TLS handshake.", _check_timeout),
    "header": Field(
        "quantity", "From the first byte of a request's head to its last.", _check_timeout
    ),
    "idle": Field("quantity", "Without a byte in either direction.", _check_timeout),
}

FIELDS: Final[Mapping[str, Field]] = {
    "policy": Field(
        "enum",
        "What happens to a request that no rule matches: it passes, it waits for the user's answer,"
        " or it is denied.",
        choices=MODES,
    ),
    "rules": Field(
        "strings",
        "allow|deny [METHOD] host[:port][/path]; the first that matches decides.",
        each=Rule.parse,
    ),
    "allow": Field("strings", "Hosts to allow, after the rules.", each=check_host),
    "tcp": Field("strings", "host:port to which raw TCP is open.", each=_check_endpoint),
    "passthrough": Field(
        "strings",
        "Hosts whose TLS connections are not intercepted, for clients that pin certificates.",
        each=_check_without_port,
    ),
    "hosts": Field("map", "Addresses of names, in place of DNS.", each=_check_override),
    "private": Field(
        "strings",
        "Networks (10.0.0.0/8) and hosts that may be reached although they are private.",
        each=_check_private,
    ),
    "upstream_ca": Field("string", "A file of PEM certificates to trust in addition."),
    "capture": Field("enum", "What to record of each request beyond its entry.", choices=CAPTURES),
    "ask_timeout": Field(
        "quantity", "Time that a request waits for the user's answer: 60s.", parse_duration
    ),
    "timeouts": Field("object", "When the proxy gives up: 10s, 15m.", fields=_TIMEOUTS),
}


def project_fields(folder: Path, *, narrowing: bool) -> dict[str, Field]:
    """Return the fields for a file in `folder`; with `narrowing` it may open nothing."""

    def check_ca(path: str) -> None:
        read_certificates(folder / path)

    fields = {**FIELDS, "upstream_ca": replace(FIELDS["upstream_ca"], check=check_ca)}
    if not narrowing:
        return fields
    closed = {name: replace(fields[name], check=_refuse, each=None) for name in _OPENING}
    return fields | closed | {"rules": replace(fields["rules"], each=_check_denial)}


def user_fields() -> dict[str, Field]:
    """Return the fields for the user's settings."""
    return {
        **FIELDS,
        "upstream_ca": replace(FIELDS["upstream_ca"], check=_check_user_ca),
        "trust_project": Field(
            "boolean", "Whether agent.yaml may open anything, or only deny; true by default."
        ),
    }


def expanded(text: str) -> Path:
    """Return a path from the settings, in which `~` is the home; an unknown user's is left as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  Path.expanduser raises there


def _check_user_ca(text: str) -> None:
    # The settings lie in no project, so there is nothing that a path could be relative to.
    if not expanded(text).is_absolute():
        raise UsageError(f"{text!r} is not an absolute path", "Begin it with / or ~/")
    read_certificates(expanded(text))


def _refuse(_value: Any) -> None:
    raise UsageError(
        "your settings let a project open nothing (network.trust_project: false)",
        "Write it into your settings, $MOAT_HOME/config.yaml, or allow a host to one run:"
        " moat run --allow HOST",
    )


def _check_denial(rule: str) -> None:
    if Rule.parse(rule).action != "deny":
        _refuse(rule)

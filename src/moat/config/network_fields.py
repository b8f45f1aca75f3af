"""The fields of `network:`, which `agent.yaml` and the user's settings have in common."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.config.fields import Effect, Field, positive
from moat.errors import UsageError
from moat.spec.hosts import canonical_host, is_address
from moat.spec.network import DNS_PORT, HOST_NAME, PROXY_PORT, HostService, Network, Timeouts
from moat.spec.rules import Rule, host_rule
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moat.spec.network import Capture, PolicyMode

MODES: Final[tuple[PolicyMode, ...]] = ("permissive", "ask", "strict")
"""Policies, each stricter than the one before it."""
CAPTURES: Final[tuple[Capture, ...]] = ("none", "headers", "bodies")
"""Captures, each recording more than the one before it."""

_RESERVED_PORTS: Final = {
    DNS_PORT: "in a run, port 53 of every address is Moat's DNS",
    PROXY_PORT: "in a run, port 3128 is Moat's own proxy",
}


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


_SERVICE: Final = re.compile(
    r"(?:(?P<name>[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?):)?(?P<port>[0-9]{1,5})", re.ASCII
)


def host_service(text: str) -> HostService:
    """Parse `[NAME:]PORT`, a service on the host's loopback. Raises `UsageError`."""
    parts = _SERVICE.fullmatch(text)
    port = 0 if parts is None else int(parts["port"])
    if parts is None or not 0 < port < 1 << 16:
        raise UsageError(
            f"{text!r} is not a port of this machine",
            "Write PORT or NAME:PORT; a name has lower-case letters, digits and hyphens",
        )
    if port in _RESERVED_PORTS:
        raise UsageError(
            f"port {port} of this machine can't be reached: {_RESERVED_PORTS[port]}",
            "Have the service listen on another port",
        )
    return HostService(port=port, name=parts["name"] or "")


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
    if canonical_host(name) == HOST_NAME:
        raise UsageError(f"{name!r} is this machine", "List its ports in network.host")
    try:
        # An address with a zone means another host on each machine.
        if "%" in ipaddress.ip_address(address).compressed:
            raise ValueError(address)
    except ValueError:
        raise ValueError(f"{address!r} for {name} is not an IP address") from None


def _check_spellings(hosts: dict[str, str]) -> None:
    seen: set[str] = set()
    for name in hosts:
        if canonical_host(name) in seen:
            raise ValueError(f"{name!r} is there in another spelling, too")
        seen.add(canonical_host(name))


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


def _effect_of_rule(rule: str) -> Effect:
    return Effect.OPENS if Rule.parse(rule).action == "allow" else Effect.NARROWS


def _effect_of_timeout(default: float, value: str) -> Effect:
    # A longer one lets the run hold connections, and the user's attention, for longer.
    return Effect.OPENS if parse_duration(value) > default else Effect.NEUTRAL


def _timeout(description: str, default: float) -> Field:
    return Field(
        "quantity", description, _check_timeout, effect=partial(_effect_of_timeout, default)
    )


_TIMEOUTS: Final = {
    "connect": _timeout("Resolving the name of a server and connecting to it.", Timeouts().connect),
    "tls": _timeout("A TLS handshake.", Timeouts().tls),
    "header": _timeout("From the first byte of a request's head to its last.", Timeouts().header),
    "idle": _timeout("Without a byte in either direction.", Timeouts().idle),
}

FIELDS: Final[Mapping[str, Field]] = {
    "policy": Field(
        "enum",
        "What happens to a request that no rule matches: it passes, it waits for the user's answer,"
        " or it is denied.",
        choices=MODES,
        effect=Effect.NARROWS,  # of the user's and the project's, the stricter one holds
    ),
    "rules": Field(
        "strings",
        "allow|deny [METHOD] host[:port][/path]; the first that matches decides.",
        each=Rule.parse,
        effect=_effect_of_rule,
    ),
    "allow": Field("strings", "Hosts to allow, after the rules.", each=check_host),
    "tcp": Field("strings", "host:port to which raw TCP is open.", each=_check_endpoint),
    "passthrough": Field(
        "strings",
        "Hosts whose TLS connections are not intercepted, for clients that pin certificates.",
        each=_check_without_port,
    ),
    "hosts": Field(
        "map", "Addresses of names, in place of DNS.", _check_spellings, each=_check_override
    ),
    "host": Field(
        "strings",
        "Services on this machine's loopback, PORT or NAME:PORT, that runs reach at host.moat:PORT.",
        each=host_service,
    ),
    "private": Field(
        "strings",
        "Networks (10.0.0.0/8) and hosts that may be reached although they are private.",
        each=_check_private,
    ),
    "upstream_ca": Field("string", "A file of PEM certificates to trust in addition."),
    "capture": Field(
        "enum",
        "What to record of each request beyond its entry.",
        choices=CAPTURES,
        effect=Effect.NARROWS,  # the one that records more holds
    ),
    "ask_timeout": Field(
        "quantity",
        "Time that a request waits for the user's answer: 60s.",
        parse_duration,
        effect=partial(_effect_of_timeout, Network().ask_timeout),
    ),
    "timeouts": Field("object", "When the proxy gives up: 10s, 15m.", fields=_TIMEOUTS),
}


def project_fields(check_authorities: Callable[[str], object] | None) -> dict[str, Field]:
    """Return the fields for a project's file, with a check of `upstream_ca`."""
    return {**FIELDS, "upstream_ca": replace(FIELDS["upstream_ca"], check=check_authorities)}


def user_fields(check_authorities: Callable[[str], object] | None) -> dict[str, Field]:
    """Return the fields for the user's settings, with a check of `upstream_ca`."""
    return project_fields(check_authorities) | {
        "trust_project": Field("boolean", "Now `trust_project` at the top level.", _moved)
    }


def absolute(text: str) -> Path:
    """Return a path from the settings, in which `~` is the home. Raises `UsageError` for a relative one.

    The settings lie in no project, so there is nothing that a path could be relative to.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111  Path.expanduser raises for an unknown user
    if not path.is_absolute():
        raise UsageError(f"{text!r} is not an absolute path", "Begin it with / or ~/")
    return path


def _moved(_value: bool) -> None:
    raise UsageError(
        "this setting has moved",
        "Write `trust_project: never` at the top level for false; `always` or `ask` for true",
    )

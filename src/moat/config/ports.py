"""The notation for published ports, `[NAME=][HOST:]PORT[:PORT]`, and those of file and options joined.

Pure. The last port is the sandbox's, the one before it the host's. What a project publishes is on the
loopback and for its user alone: an address is the command line's to name.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from moat.config.fields import Field
from moat.errors import UsageError
from moat.spec.network import DNS_PORT, PROXY_PORT, WEB_PORTS
from moat.spec.port import ANYBODY_HERE, PublishedPort

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_PORTS: Final = 32
_HOW: Final = "Write PORT, HOSTPORT:PORT or HOST:HOSTPORT:PORT, with NAME= before it if you like"
_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_PARTS: Final = re.compile(
    r"(?:(?P<host>\[[^]]*\]|[^:\[\]]*[^:\[\]0-9][^:\[\]]*):(?:(?P<there>[0-9]*):)?|(?P<here>[0-9]+):)?"
    r"(?P<inner>[0-9]+)",
    re.ASCII,
)
TAKEN: Final = frozenset((DNS_PORT, PROXY_PORT, *WEB_PORTS))
"""Ports of a run that lead to Moat's own proxy."""


def parse(text: str) -> PublishedPort:
    """Parse one port. Raises `UsageError`."""
    name, equals, rest = text.rpartition("=")
    parts = _PARTS.fullmatch(rest)
    if parts is None:
        raise UsageError(f"{text!r} is not a port", _HOW)
    inner, outer = _number(text, parts["inner"]), parts["there"] or parts["here"]
    if equals and not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a port",
            "Use lower-case letters, digits and hyphens, a letter first: web=3000",
        )
    if inner in TAKEN:
        raise UsageError(
            f"port {inner} of a run can't be published: it leads to Moat's own proxy there",
            "Have the server listen on another port",
        )
    return PublishedPort(
        name=name if equals else str(inner),
        port=inner,
        address="" if parts["host"] is None else _address(parts["host"]),
        host_port=_number(text, outer) if outer else 0,
    )


def joined(project: Mapping[str, str], options: Iterable[str]) -> tuple[PublishedPort, ...]:
    """Return the ports of a project's file and of the command line, which replaces them by name.

    Raises `UsageError` for two that can't be had together.
    """
    ports = {name: parse(f"{name}={text}") for name, text in project.items()}
    given: dict[str, PublishedPort] = {}
    for text in options:
        port = parse(text)
        if port.name in given:
            raise UsageError(
                f"two ports are called {port.name}", f"Give one a name: -p NAME={port.port}"
            )
        given[port.name] = port
    ports |= given
    if len(ports) > MOST_PORTS:
        raise UsageError(f"a run publishes {MOST_PORTS} ports at most, not {len(ports)}")
    _check_host_ports(ports.values())
    return tuple(ports.values())


def _check_host_ports(ports: Iterable[PublishedPort]) -> None:
    seen: dict[tuple[str, int], str] = {}
    for port in ports:
        place = (port.address, port.host_port)
        if port.host_port and place in seen:
            raise UsageError(
                f"{seen[place]} and {port.name} would both be at port {port.host_port}",
                "Give one of them another, or none for a free one",
            )
        seen[place] = port.name


def _check_of_project(name: str, text: str) -> None:
    port = parse(f"{name}={text}")
    if port.address:
        raise UsageError(
            f"{text!r} names an address",
            f"That is for the command line: moat run -p {name}={text}",
        )


FIELD: Final = Field(
    "map",
    "Ports of servers in the runs that you can open on this machine, by name: PORT, or HOSTPORT:PORT"
    " where it has to be a certain one here.",
    each=_check_of_project,
)


def _number(text: str, digits: str) -> int:
    number = int(digits) if len(digits) <= 5 else 0  # a long row of digits takes `int` long
    if not 0 < number < 1 << 16:
        raise UsageError(f"{text!r}: {digits[:20]} is not a port", "Ports are 1 to 65535")
    return number


def _address(host: str) -> str:
    if host == ANYBODY_HERE:
        return host
    try:
        return ipaddress.ip_address(host.strip("[]")).compressed
    except ValueError:
        raise UsageError(
            f"{host!r} is not an address of this machine", "Write an IP address, or localhost"
        ) from None

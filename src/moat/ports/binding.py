"""The listening sockets of a published port."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError
from moat.spec.port import ANYBODY_HERE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.spec.port import PublishedPort

BACKLOG: Final = 256
_FAMILIES: Final = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
LOOPBACK: Final = {"inet": "127.0.0.1", "inet6": "::1"}
_NO_SUCH_FAMILY: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
_ATTEMPTS: Final = 32
"""Free ports of IPv4 that are tried, until one is free for IPv6 as well."""


class PortUnavailableError(MoatError):
    """A port of the host can't be had."""

    code = "port_unavailable"


def places(port: PublishedPort) -> Mapping[str, str]:
    """Return the addresses of a port by their family: two for the loopback."""
    if port.address in {"", ANYBODY_HERE}:
        return LOOPBACK
    return {"inet6" if ":" in port.address else "inet": port.address}


def bind(port: PublishedPort) -> dict[str, socket.socket]:
    """Return listening sockets by family, all of one port number. Raises `PortUnavailableError`.

    Where the host has no IPv6, its loopback is that of IPv4 alone.
    """
    try:
        return bind_free(places(port), port.host_port)
    except OSError as exc:
        raise _unavailable(port, exc) from exc


def bind_free(addresses: Mapping[str, str], number: int) -> dict[str, socket.socket]:
    """Return listening sockets of one port number; for zero, one that is free for all of the addresses.

    Raises `OSError`.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            return bind_all(addresses, number)
        except OSError as exc:
            if number or exc.errno != errno.EADDRINUSE or not left:
                raise
    raise AssertionError  # the last attempt returns or raises


def url(port: PublishedPort, number: int) -> str:
    """Return the URL of a server that speaks HTTP there; for every address, that of the loopback."""
    family, address = next(iter(places(port).items()))
    if address in {"0.0.0.0", "::"}:  # noqa: S104  compared
        address = LOOPBACK[family]
    return f"http://{f'[{address}]' if ':' in address else address}:{number}"


def bind_all(addresses: Mapping[str, str], number: int) -> dict[str, socket.socket]:
    """Return listening sockets by family. Raises `OSError`, and then none is left."""
    bound: dict[str, socket.socket] = {}
    try:
        for family, address in addresses.items():
            try:
                sock = _listening(family, address, number)
            except OSError as exc:
                if bound and exc.errno in _NO_SUCH_FAMILY:
                    continue
                raise
            bound[family] = sock
            number = sock.getsockname()[1]
    except BaseException:
        for sock in bound.values():
            sock.close()
        raise
    return bound


def _listening(family: str, address: str, number: int) -> socket.socket:
    sock = socket.socket(_FAMILIES[family], socket.SOCK_STREAM)
    try:
        # A port may be taken again at once: connections that ended hinder nobody (TIME_WAIT).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == "inet6":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, number))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _unavailable(port: PublishedPort, exc: OSError) -> PortUnavailableError:
    where = f" at {port.address}" if port.address else ""
    what = f"port {port.host_port}{where}" if port.host_port else f"a free port{where}"
    free = f"-p {port.name}={f'{port.address}::' if port.address else ''}{port.port}"
    if exc.errno == errno.EADDRINUSE:
        return PortUnavailableError(
            f"{what} is taken: another program listens there",
            f"Choose another for {port.name}, or let Moat choose a free one: {free}",
        )
    if exc.errno == errno.EACCES:
        return PortUnavailableError(
            f"{what} is kept for root", f"Choose one above 1023, or a free one: {free}"
        )
    return PortUnavailableError(
        f"{what} can't be had for {port.name}: {os.strerror(exc.errno or 0).lower()}",
        "Check the address: it has to be one of this machine",
    )

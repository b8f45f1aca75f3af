"""The kernel's routes: whether a packet would go away, to this machine itself, or nowhere.

An address may be public and still be this machine's own, with services that trust every local client.
Only the routing tables know: a second address of an interface, a local route without an interface or a
rule of policy routing looks like any other address. So the kernel is asked for each address, with the
request of `ip route get` (rtnetlink(7)). No packet is sent, and no privilege is needed.
"""

from __future__ import annotations

import socket
import struct
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from moat.platform import netlink

if TYPE_CHECKING:
    from collections.abc import Callable

Address = IPv4Address | IPv6Address

KEPT_S: Final = 5.0
"""An answer is kept for so long: interfaces change rarely, and connections come in bursts."""
_MAX_CACHED: Final = 1024

# linux/rtnetlink.h
_RTM_GETROUTE: Final = 26
_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_RTA_HEADER: Final = struct.Struct("=HH")
_RTA_DST: Final = 1
_TYPE_OFFSET: Final = 7  # of rtm_type in struct rtmsg
_RTN_UNICAST: Final = 1
_RTN_LOCAL: Final = 2
_RTN_BROADCAST: Final = 3
_RTN_ANYCAST: Final = 4
_RTN_MULTICAST: Final = 5


class KernelRoute(StrEnum):
    """The kinds of places to which a route leads. The values end a sentence: "x is ..."."""

    AWAY = "on another machine"
    OURS = "this machine's own"
    BROADCAST = "a broadcast address"
    MULTICAST = "a multicast address"
    NONE = "unreachable from this machine"


_ROUTES: Final = {
    _RTN_UNICAST: KernelRoute.AWAY,
    _RTN_LOCAL: KernelRoute.OURS,
    _RTN_ANYCAST: KernelRoute.OURS,
    _RTN_BROADCAST: KernelRoute.BROADCAST,
    _RTN_MULTICAST: KernelRoute.MULTICAST,
}


def route_to(address: Address) -> KernelRoute:
    """Ask the kernel for the route to an address. Raises `OSError` if it can't be asked.

    `NONE` if there is no route, or a rule refuses it.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    packed = address.packed
    question = (
        _RTMSG.pack(family, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0)
        + _RTA_HEADER.pack(_RTA_HEADER.size + len(packed), _RTA_DST)
        + packed
    )
    answer = netlink.ask(socket.NETLINK_ROUTE, _RTM_GETROUTE, question)
    return (
        KernelRoute.NONE if answer is None else _ROUTES.get(answer[_TYPE_OFFSET], KernelRoute.NONE)
    )


class KernelRoutes:
    """Routes by address, kept for a few seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._cached: dict[Address, KernelRoute] = {}
        self._since = clock()

    def to(self, address: Address) -> KernelRoute:
        now = self._clock()
        if now - self._since > KEPT_S or len(self._cached) >= _MAX_CACHED:
            self._cached.clear()
            self._since = now
        route = self._cached.get(address)
        if route is None:
            route = self._cached[address] = route_to(address)
        return route

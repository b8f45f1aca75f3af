"""Names resolved to addresses by the host's own resolver.

`getaddrinfo` knows all that the host knows (its hosts file, search list, VPN), but it blocks for as
long as a name server likes, and a hostile program chooses the names. So each lookup has a thread of its
own, no name is looked up twice at a time, few are looked up at once, and a lookup that nobody waits for
any more is not begun. The executors of the loop and of libuv would not do: they are shared with other
work, and a process waits for their threads before it ends.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Addresses = tuple[Address, ...]

MAX_RUNNING: Final = 16
"""Lookups at once. dnsmasq forwards 150 for the whole machine, and a dead name holds one for 10 s."""


class UnresolvedError(Exception):
    """The name has no address; the text says why, as far as the resolver knows."""


class _Lookup:
    __slots__ = ("answer", "askers")

    def __init__(self, answer: asyncio.Future[Addresses | UnresolvedError]) -> None:
        self.answer = answer
        self.askers = 0


class Resolver:
    """The lookups of one run."""

    def __init__(self) -> None:
        self._lookups: dict[str, _Lookup] = {}
        self._waiting: dict[str, _Lookup] = {}
        """The lookups that have not begun, oldest first."""
        self._running = 0

    async def resolve(self, name: str) -> Addresses:
        """Return every address of a name, best first (RFC 6724). Raises `UnresolvedError`."""
        lookup = self._lookups.get(name) or self._add(name)
        lookup.askers += 1
        try:
            answer = await asyncio.shield(lookup.answer)
        finally:
            lookup.askers -= 1
            if not lookup.askers and self._waiting.get(name) is lookup:
                del self._waiting[name], self._lookups[name]
        if isinstance(answer, UnresolvedError):
            raise UnresolvedError(*answer.args)
        return answer

    def _add(self, name: str) -> _Lookup:
        lookup = _Lookup(asyncio.get_running_loop().create_future())
        self._lookups[name] = self._waiting[name] = lookup
        self._begin()
        return lookup

    def _begin(self) -> None:
        while self._waiting and self._running < MAX_RUNNING:
            name = next(iter(self._waiting))
            del self._waiting[name]
            self._running += 1
            loop = asyncio.get_running_loop()
            thread = threading.Thread(
                target=self._run, args=(loop, name), name=f"resolve {name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as exc:  # the machine has no more threads
                self._settle(name, UnresolvedError(str(exc)))

    def _run(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        answer = _look_up(name)
        try:
            loop.call_soon_threadsafe(self._end, name, answer)
        except RuntimeError:
            # The loop has ended meanwhile, and everybody who asked with it.
            return

    def _end(self, name: str, answer: Addresses | UnresolvedError) -> None:
        self._settle(name, answer)
        self._begin()

    def _settle(self, name: str, answer: Addresses | UnresolvedError) -> None:
        self._running -= 1
        self._lookups.pop(name).answer.set_result(answer)


def _look_up(name: str) -> Addresses | UnresolvedError:
    try:
        # As bytes: Python would load its IDNA codec to encode what is ASCII already.
        # Both families always: the check must not depend on today's routes.
        infos = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    except OSError as exc:
        return UnresolvedError((exc.strerror or str(exc)).lower())
    # A scope (fe80::1%eth0) stays with the address.
    return tuple(dict.fromkeys(ip_address(info[4][0]) for info in infos))

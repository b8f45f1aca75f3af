"""Connections to servers: resolved on the host, checked, and made to the very address that was checked.

A hostile program chooses the names, and the owner of a name chooses its addresses. So a name is looked
up once per connection and each of its addresses is checked. One that is not public spoils them all,
unless `network.private` names it. An address is dialled, never the name.

Through a parent proxy, the proxy resolves. A name that the host can resolve is checked all the same,
and refused if an address is not public. A name that only the proxy knows, or that resolves differently
there, can't be checked here. What it may reach is for the proxy to say, as for every other program of
the host.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, Literal, Protocol

from moat.egress.peek import ClosedEarlyError
from moat.egress.streams import reason
from moat.egress.tls import trust
from moat.egress.tls.layer import inside_tls
from moat.egress.upstream.happy_eyeballs import connect, open_tunnel
from moat.egress.upstream.parent_proxy import ParentProxy, RefusedError, literal
from moat.egress.upstream.private_addresses import why_private
from moat.egress.upstream.resolver import Resolver, UnresolvedError
from moat.egress.upstream.routes import KernelRoute, KernelRoutes
from moat.spec.hosts import endpoint
from moat.spec.network import HOST_NAME

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from moat.spec.network import Network

Address = IPv4Address | IPv6Address
Kind = Literal["private", "unresolved", "refused", "unreachable", "timeout", "proxy"]

MAX_ADDRESSES: Final = 32
"""Addresses of one name: its owner could list thousands, and have each dialled."""
_LOOPBACK6: Final = IPv6Address("::1")
BESIDE_PROXY_S: Final = 2.0
"""Seconds for a lookup that only checks a name which the proxy will resolve.

Behind a proxy, the host's name servers often know nothing of the internet, and say so at once or never.
"""


class Policy(Protocol):
    """The part of a run's policy that concerns addresses."""

    def override(self, host: str) -> str | None: ...
    def private(self, host: str, address: Address) -> bool: ...


class DialError(Exception):
    """There is no connection; the text says why, in one line."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind: Kind = kind
        self.dns = -1.0
        """Seconds, here and below; negative for a step that did not take place."""
        self.connect = -1.0


@dataclass(frozen=True, slots=True)
class Dialled:
    sock: socket.socket
    """Connected, non-blocking, without Nagle's delay. It belongs to the caller."""
    address: str
    """The server's address; the proxy's, if the connection leads through one."""
    dns: float
    """Seconds; negative if nothing was looked up."""
    connect: float
    """Seconds, with the answer of a proxy."""
    proxy: ParentProxy | None = None
    """The proxy at the other end, if it takes the requests themselves and no tunnel leads through it."""


class Dialer:
    """Dials for one run."""

    def __init__(self, network: Network, policy: Callable[[], Policy]) -> None:
        """`policy` returns the policy as it is now."""
        self.timeout = network.timeouts.connect
        self.resolver = Resolver()
        self.routes = KernelRoutes(time.monotonic)
        self._policy = policy
        self._upstream_ca = network.upstream_ca
        urls = {"https": network.upstream_proxy, "http": network.upstream_http_proxy}
        self._proxies = {
            scheme: ParentProxy.parse(url, network.no_upstream_proxy)
            for scheme, url in urls.items()
            if url
        }

    async def dial(
        self, host: str, port: int, scheme: str = "https", *, forward: bool = False
    ) -> Dialled:
        """Connect to a canonical host; with `forward`, perhaps no further than to a proxy.

        Raises `DialError`.
        """
        proxy = self.proxy_for(host, port, scheme)
        # A proxy that forwards a request looks its host up, and would miss the address in `hosts`.
        forward = forward and self._policy().override(host) is None
        return await _Attempt(self, host, port, proxy, forward=forward).make()

    def refusal(self, host: str) -> str | None:
        """Return why this host would be refused, as far as that is known without a lookup."""
        address = self.fixed_address(host)
        try:
            return None if address is None else self.why_refused(host, (address,))
        except OSError as exc:
            return _undetermined(host, exc)

    def fixed_address(self, host: str) -> Address | None:
        """Return the address that a host has without a lookup: a literal, or one from `hosts`."""
        return literal(self._policy().override(host) or host)

    def why_refused(self, host: str, addresses: Iterable[Address]) -> str | None:
        """Return why a host is refused, naming its first address that is not public.

        Raises `OSError` if the kernel does not tell its routes.
        """
        policy = self._policy()
        for each in addresses:
            address = _bare(each)
            why = why_private(address) or self._why_near(address)
            if why is not None and not policy.private(host, address):
                subject = host if literal(host) else f"{host} resolves to {address}, which"
                return f"{subject} is {why}: add it to network.private in agent.yaml"
        return None

    def proxy_for(self, host: str, port: int, scheme: str) -> ParentProxy | None:
        proxy = self._proxies.get(scheme)
        if proxy is None or not proxy.leads_to(host, port, self.fixed_address(host)):
            return None
        return proxy

    def reachable(self, addresses: Iterable[Address]) -> list[Address]:
        """Return the addresses with a route: a host without IPv6 can't use a name's IPv6 addresses."""
        return [each for each in addresses if self.routes.to(_bare(each)) is not KernelRoute.NONE]

    async def proxy_context(self) -> ssl.SSLContext:
        loop = asyncio.get_running_loop()
        protocols = ("http/1.1",)
        return await loop.run_in_executor(
            None, trust.upstream_context, self._upstream_ca, protocols
        )

    def _why_near(self, address: Address) -> str | None:
        route = self.routes.to(address)
        return None if route in {KernelRoute.AWAY, KernelRoute.NONE} else route.value


class _Attempt:
    """One connection on its way, with the time that each step took."""

    def __init__(
        self, dialer: Dialer, host: str, port: int, proxy: ParentProxy | None, *, forward: bool
    ) -> None:
        self._dialer = dialer
        self._proxy = proxy
        self._forward = forward and proxy is not None
        self._host = host
        self._port = port
        self._where = endpoint(host, port)
        self._dns = -1.0
        self._connect = -1.0
        self._missing = ""
        """The step that did not happen, if the time runs out now."""

    async def make(self) -> Dialled:
        limit = self._dialer.timeout
        try:
            async with asyncio.timeout(limit):
                way = self._directly() if self._proxy is None else self._through(self._proxy)
                sock, address = await way
        except TimeoutError as exc:
            raise self._timed(DialError("timeout", f"{self._missing} within {limit:g} s")) from exc
        except DialError as exc:
            self._timed(exc)
            raise
        proxy = self._proxy if self._forward else None
        return Dialled(sock, address, self._dns, self._connect, proxy)

    def _timed(self, exc: DialError) -> DialError:
        exc.dns, exc.connect = self._dns, self._connect
        return exc

    async def _directly(self) -> tuple[socket.socket, str]:
        fixed = self._dialer.fixed_address(self._host)
        resolved = await self._look_up() if fixed is None else (fixed,)
        if self._host == HOST_NAME:
            resolved = (*resolved, _LOOPBACK6)  # a service may listen at either
        self._check(resolved)
        self._missing = f"{self._where} did not answer"
        begun = time.monotonic()
        try:
            addresses = self._dialer.reachable(resolved)
            if not addresses:
                raise DialError("unreachable", f"{self._where}: no route to {resolved[0]}")
            return await connect([_unmapped(each) for each in addresses], self._port)
        except TimeoutError:
            raise
        except ConnectionRefusedError as exc:
            raise DialError("refused", f"{self._where} refused the connection") from exc
        except OSError as exc:
            text = f"can't connect to {self._where}: {reason(exc)}"
            raise DialError("unreachable", text) from exc
        finally:
            self._connect = time.monotonic() - begun

    # --- addresses ---

    async def _look_up(self) -> Sequence[Address]:
        self._missing = f"{self._host} did not resolve"
        begun = time.monotonic()
        try:
            addresses = await self._dialer.resolver.resolve(self._host)
        except UnresolvedError as exc:
            text = f"{self._host} does not resolve: {exc}"
            raise DialError("unresolved", text) from exc
        finally:
            self._dns = time.monotonic() - begun
        return addresses[:MAX_ADDRESSES]

    def _check(self, addresses: Iterable[Address]) -> None:
        try:
            why = self._dialer.why_refused(self._host, addresses)
        except OSError as exc:
            raise DialError("unreachable", _undetermined(self._host, exc)) from exc
        if why is not None:
            raise DialError("private", why)

    # --- through a parent proxy ---

    async def _through(self, proxy: ParentProxy) -> tuple[socket.socket, str]:
        target = await self._target_beside_proxy()
        self._missing = f"{self._where}: the proxy {proxy.name} did not answer"
        begun = time.monotonic()
        try:
            sock, address = await self._reach(proxy)
            try:
                if not self._forward:
                    await open_tunnel(sock, proxy.request(target, self._port))
            except BaseException:
                sock.close()
                raise
        except TimeoutError:
            raise
        except RefusedError as exc:
            raise self._proxy_error(proxy, str(exc)) from exc
        except ClosedEarlyError as exc:
            raise self._proxy_error(proxy, "closed the connection") from exc
        except ssl.SSLError as exc:
            raise self._proxy_error(
                proxy, f"can't be reached over TLS: {trust.explain(exc)}"
            ) from exc
        except (OSError, UnresolvedError) as exc:
            raise self._proxy_error(proxy, f"can't be reached: {reason(exc)}") from exc
        finally:
            self._connect = time.monotonic() - begun
        return sock, address

    async def _reach(self, proxy: ParentProxy) -> tuple[socket.socket, str]:
        # The user's own setting names the proxy, so its address may be private.
        fixed = literal(proxy.host)
        resolver = self._dialer.resolver
        resolved = (fixed,) if fixed is not None else await resolver.resolve(proxy.host)
        addresses = self._dialer.reachable(resolved) or resolved
        if not proxy.secure:
            return await connect(addresses, proxy.port)
        context = await self._dialer.proxy_context()
        sock, address = await connect(addresses, proxy.port)
        return await inside_tls(sock, context, proxy.host), address

    async def _target_beside_proxy(self) -> str:
        """Return what to ask the proxy for: an address known without a lookup, else the name."""
        fixed = self._dialer.fixed_address(self._host)
        if fixed is not None:
            self._check((fixed,))
            return str(_bare(fixed))
        try:
            async with asyncio.timeout(BESIDE_PROXY_S):
                self._check(await self._look_up())
        except TimeoutError:
            return self._host
        except DialError as exc:
            if exc.kind != "unresolved":
                raise
        return self._host

    def _proxy_error(self, proxy: ParentProxy, what: str) -> DialError:
        return DialError("proxy", f"{self._where}: the proxy {proxy.name} {what}")


def _undetermined(host: str, exc: OSError) -> str:
    return f"{host}: can't tell whose address it is: {reason(exc)}"


def _unmapped(address: Address) -> Address:
    """Return an IPv4-mapped address (RFC 4291 2.5.5.2) as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _bare(address: Address) -> Address:
    """Return the address without its scope (fe80::1%eth0), which comparisons would consider."""
    address = _unmapped(address)
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address

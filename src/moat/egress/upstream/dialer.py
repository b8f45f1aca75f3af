"""Connections to servers: resolved on the host, checked, and made to the very address that was checked.

The names come from a hostile program, and whoever owns a name chooses its addresses. So a name is
looked up once per connection, every address it has is checked, one that is not public spoils them all
unless `network.private` names it, and what is dialled is an address, never the name.

Through the host's own proxy it is the proxy that resolves. What the host can resolve itself is
checked all the same, and refused where it is not public; but a name that only the proxy knows, or that
resolves differently there, can't be checked here: what such a name may reach is for the proxy to say,
as it is for every other program of the host.
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
from moat.egress.upstream.parent_proxy import ParentProxy, RefusedError, authority, literal
from moat.egress.upstream.private_addresses import why_private
from moat.egress.upstream.resolver import Resolver, UnresolvedError
from moat.egress.upstream.routes import KernelRoute, KernelRoutes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from moat.spec.network import Network

Address = IPv4Address | IPv6Address
Kind = Literal["private", "unresolved", "refused", "unreachable", "timeout", "proxy"]

MAX_ADDRESSES: Final = 32
"""Of one name; its owner could list thousands, and have each dialled."""
BESIDE_PROXY_S: Final = 2.0
"""For a lookup that only checks what the proxy will resolve: where there is a proxy, the host's own
name servers often know nothing of the world, and say so at once, or never."""


class Policy(Protocol):
    """What of the run's policy concerns addresses."""

    def override(self, host: str) -> str | None: ...
    def private(self, host: str, address: Address) -> bool: ...


class DialError(Exception):
    """There is no connection; the text says why in one line, for the user and the agent."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind: Kind = kind
        self.dns = -1.0
        """Seconds it took, here and below; negative for what did not take place."""
        self.connect = -1.0


@dataclass(frozen=True, slots=True)
class Dialled:
    sock: socket.socket
    """Connected, non-blocking, without Nagle's delay. Whoever dialled closes it."""
    address: str
    """Of the server; of the proxy, where the connection leads through one."""
    dns: float
    """Seconds; negative where nothing was looked up."""
    connect: float
    """Seconds, with the proxy's answer."""
    proxy: ParentProxy | None = None
    """Who is at the other end, where there is no tunnel and it takes the requests themselves."""


class Dialer:
    """A run's connections to the world. `policy` is asked anew each time: it may change."""

    def __init__(self, network: Network, policy: Callable[[], Policy]) -> None:
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
        """Connects to a canonical host; with `forward`, perhaps no further than to a proxy.

        Raises `DialError`.
        """
        proxy = self.proxy_for(host, port, scheme)
        # Whom a proxy is asked for by name, it looks up itself: not what the user gave an address.
        forward = forward and self._policy().override(host) is None
        return await _Attempt(self, host, port, proxy, forward=forward).make()

    def refusal(self, host: str) -> str | None:
        """Why this host would be refused, as far as that is known without a lookup."""
        address = self.fixed_address(host)
        try:
            return None if address is None else self.why_refused(host, (address,))
        except OSError as exc:
            return _unknown_address(host, exc)

    def fixed_address(self, host: str) -> Address | None:
        """What the host is without a lookup: a literal, or an address that the user gave it."""
        return literal(self._policy().override(host) or host)

    def why_refused(self, host: str, addresses: Iterable[Address]) -> str | None:
        """Names the first address that is not public. Raises `OSError` where the kernel is mute."""
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
        """Those with a route: a name's IPv6 addresses are no use to a host without IPv6."""
        return [each for each in addresses if self.routes.to(_bare(each)) is not KernelRoute.NONE]

    async def trusted_by_proxy(self) -> ssl.SSLContext:
        loop = asyncio.get_running_loop()
        protocols = ("http/1.1",)
        return await loop.run_in_executor(
            None, trust.upstream_context, self._upstream_ca, protocols
        )

    def _why_near(self, address: Address) -> str | None:
        route = self.routes.to(address)
        return None if route in {KernelRoute.AWAY, KernelRoute.NONE} else route.value


class _Attempt:
    """One connection on its way, and how long each step has taken."""

    def __init__(
        self, dialer: Dialer, host: str, port: int, proxy: ParentProxy | None, *, forward: bool
    ) -> None:
        self._dialer = dialer
        self._proxy = proxy
        self._forward = forward and proxy is not None
        self._host = host
        self._port = port
        self._where = authority(host, port)
        self._dns = -1.0
        self._connect = -1.0
        self._missing = ""
        """What did not happen, if the time is up now."""

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
        found = await self._look_up() if fixed is None else (fixed,)
        self._check(found)
        self._missing = f"{self._where} did not answer"
        begun = time.monotonic()
        try:
            addresses = self._dialer.reachable(found)
            if not addresses:
                raise DialError("unreachable", f"{self._where}: no route to {found[0]}")
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
            found = await self._dialer.resolver.resolve(self._host)
        except UnresolvedError as exc:
            text = f"{self._host} does not resolve: {exc}"
            raise DialError("unresolved", text) from exc
        finally:
            self._dns = time.monotonic() - begun
        return found[:MAX_ADDRESSES]

    def _check(self, addresses: Iterable[Address]) -> None:
        try:
            why = self._dialer.why_refused(self._host, addresses)
        except OSError as exc:
            raise DialError("unreachable", _unknown_address(self._host, exc)) from exc
        if why is not None:
            raise DialError("private", why)

    # --- through the host's own proxy ---

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
            raise self._proxy_error(proxy, f"speaks no TLS with us: {trust.explain(exc)}") from exc
        except (OSError, UnresolvedError) as exc:
            raise self._proxy_error(proxy, f"can't be reached: {reason(exc)}") from exc
        finally:
            self._connect = time.monotonic() - begun
        return sock, address

    async def _reach(self, proxy: ParentProxy) -> tuple[socket.socket, str]:
        # The user's own setting says where the proxy is, so it may well be a private address.
        fixed = literal(proxy.host)
        found = (fixed,) if fixed is not None else await self._dialer.resolver.resolve(proxy.host)
        addresses = self._dialer.reachable(found) or found
        if not proxy.secure:
            return await connect(addresses, proxy.port)
        context = await self._dialer.trusted_by_proxy()
        sock, address = await connect(addresses, proxy.port)
        return await inside_tls(sock, context, proxy.host), address

    async def _target_beside_proxy(self) -> str:
        """What to ask the proxy for: an address where that is known, else the name."""
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


def _unknown_address(host: str, exc: OSError) -> str:
    return f"{host}: can't tell whose address it is: {reason(exc)}"


def _unmapped(address: Address) -> Address:
    """As IPv4 where it is that, in whichever form (RFC 4291, section 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _bare(address: Address) -> Address:
    """What is checked: without a scope (fe80::1%eth0), which comparisons would heed."""
    address = _unmapped(address)
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address

"""Dialling: what is checked, what is dialled, and what is said when it can't be.

Servers and sockets are real, on loopback, which the policy names; the host's resolver is replaced
where a name must have addresses that no real name has.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import socket
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.egress.dialling import Names, SomePolicy, greeting, refused, server

from moat.egress.upstream import routes
from moat.egress.upstream.dialer import MAX_ADDRESSES, Dialer
from moat.egress.upstream.routes import KernelRoute
from moat.spec.network import Network, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moat.egress.upstream.dialer import Address

_INTERFACES = Path("/proc/net/if_inet6").read_text().splitlines()
LINK_LOCAL = [
    (IPv6Address(int(row[0], 16)), row[5])
    for row in map(str.split, _INTERFACES)
    if row[3] == "20"  # the scope: linux/ipv6.h
]


def dialer(policy: SomePolicy | None = None, *, timeout: float = 10.0) -> Dialer:
    fixed = policy or SomePolicy()
    return Dialer(Network(timeouts=Timeouts(connect=timeout)), lambda: fixed)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Bound, so that nobody else gets it, and never listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The queue of connections is full: the kernel drops whatever else comes, and answers nothing."""
    with socket.socket() as listener, socket.socket() as queued:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        queued.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def exhaust_descriptors() -> Iterator[Callable[[], None]]:
    """From the call on this process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust() -> None:
        free = os.open("/dev/null", os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))

    yield exhaust
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestConnection:
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    async def test_a_literal_is_dialled_without_a_lookup(self, address: str, names: Names) -> None:
        """The address may be of either family, and the socket is ready for the loop."""
        async with server(address) as port:
            dialled = await dialer().dial(address, port)
            assert dialled.address == address
            assert dialled.dns < 0 <= dialled.connect
            assert not dialled.sock.getblocking()
            assert dialled.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert fcntl.fcntl(dialled.sock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            assert await greeting(dialled) == address
        assert not names.asked

    async def test_a_name_is_resolved_by_the_host(self) -> None:
        """The real resolver: localhost has an address of each family, and one answers."""
        async with server() as port:
            dialled = await dialer().dial("localhost", port)
            assert dialled.dns >= 0
            assert await greeting(dialled) == "127.0.0.1"

    async def test_a_name_of_network_hosts_is_not_looked_up(self, names: Names) -> None:
        """The user's own table stands in for the resolver."""
        async with server() as port:
            dialled = await dialer(SomePolicy(db="127.0.0.1")).dial("db.test", port)
            assert await greeting(dialled) == "127.0.0.1"
        assert not names.asked

    async def test_an_address_that_refuses_is_passed_over(self, names: Names) -> None:
        """As one does that is silent: the next is tried a quarter of a second later (RFC 8305)."""
        names.answers["two.test"] = [("127.0.0.2", "127.0.0.1")]
        async with server() as port:
            dialled = await dialer().dial("two.test", port)
            assert await greeting(dialled) == "127.0.0.1"

    async def test_a_silent_address_is_passed_over(self, names: Names, silent_port: int) -> None:
        """Within the same attempt, long before the time is up."""
        names.answers["two.test"] = [("127.0.0.1", "::1")]
        async with server("::1", silent_port):
            dialled = await dialer().dial("two.test", silent_port)
            assert await greeting(dialled) == "::1"

    async def test_an_ipv4_address_in_ipv6_form_is_dialled_as_ipv4(self, names: Names) -> None:
        """`::ffff:a.b.c.d` is a.b.c.d, for the checks as for the connection."""
        names.answers["mapped.test"] = [("::ffff:127.0.0.1",)]
        async with server() as port:
            dialled = await dialer().dial("mapped.test", port)
            assert dialled.address == "127.0.0.1"
            dialled.sock.close()

    async def test_a_link_local_address_keeps_its_scope(self, names: Names) -> None:
        """A link-local address needs the name of its interface."""
        if not LINK_LOCAL:
            pytest.skip("no interface has a link-local address")
        address, interface = LINK_LOCAL[0]
        names.answers["printer.test"] = [(f"{address}%{interface}",)]
        subject = dialer(SomePolicy(("printer.test",)))
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind((str(address), 0, 0, socket.if_nametoindex(interface)))
            listener.listen()
            dialled = await subject.dial("printer.test", listener.getsockname()[1])
            dialled.sock.close()
        assert dialled.address == str(address)


class TestCheck:
    @pytest.mark.parametrize(
        ("address", "why"),
        [
            ("127.0.0.1", "loopback"),
            ("169.254.169.254", ""),
            ("10.0.0.5", "private"),
            ("0.0.0.0", ""),
            ("::1", "loopback"),
            ("fd00::1", ""),
            ("fe80::1%lo", "link-local"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.5", "private"),
        ],
    )
    async def test_a_name_with_such_an_address_is_refused(
        self, address: str, why: str, names: Names
    ) -> None:
        """The policy's opinion of the name doesn't matter: its owner could point it anywhere."""
        names.answers["api.test"] = [(address,)]
        error = await refused(dialer(SomePolicy(())), "api.test")
        assert error.kind == "private"
        assert error.dns >= 0 > error.connect
        assert "api.test resolves to " in str(error)
        assert why in str(error)
        assert str(error).endswith(": add it to network.private in agent.yaml")

    @pytest.mark.parametrize("order", [1, -1])
    async def test_one_address_that_is_not_public_spoils_all(
        self, order: int, names: Names
    ) -> None:
        """The public addresses are not tried either, in any order."""
        names.answers["mixed.test"] = [("192.0.2.1", "10.0.0.5", "8.8.8.8")[::order]]
        subject = dialer(SomePolicy(("192.0.2.0/24",)))
        error = await refused(subject, "mixed.test")
        assert error.kind == "private"
        assert "10.0.0.5" in str(error)

    async def test_the_resolver_is_asked_once(self, names: Names) -> None:
        """DNS rebinding fails because there is no second lookup."""
        names.answers["rebinds.test"] = [("127.0.0.1",), ("127.0.0.2",)]
        async with server() as port, server("127.0.0.2", port):
            dialled = await dialer(SomePolicy(("127.0.0.1/32",))).dial("rebinds.test", port)
            assert await greeting(dialled) == "127.0.0.1"
            assert names.asked == ["rebinds.test"]
            error = await refused(dialer(SomePolicy(("127.0.0.1/32",))), "rebinds.test", port)
            assert error.kind == "private"

    async def test_network_private_may_name_the_host(self, names: Names) -> None:
        """The user has named the host, so its addresses are those of the user's network."""
        names.answers["intranet.test"] = [("127.0.0.1",)]
        async with server() as port:
            dialled = await dialer(SomePolicy(("intranet.test",))).dial("intranet.test", port)
            dialled.sock.close()

    async def test_a_public_address_of_this_machine_is_refused(
        self, names: Names, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Services of this machine trust local clients. (The test machine may have no such address.)"""

        def route(address: Address) -> KernelRoute:
            return KernelRoute.OURS if str(address) == "8.8.8.8" else KernelRoute.AWAY

        monkeypatch.setattr(routes, "route_to", route)
        names.answers["me.test"] = [("8.8.8.8",)]
        assert "8.8.8.8, which is this machine's own" in str(await refused(dialer(), "me.test"))
        assert str(await refused(dialer(), "8.8.8.8")).startswith("8.8.8.8 is this machine's own")

    async def test_a_kernel_that_does_not_answer_opens_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An address that can't be checked is not dialled."""

        def mute(_: Address) -> KernelRoute:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(routes, "route_to", mute)
        error = await refused(dialer(), "8.8.8.8")
        assert error.kind == "unreachable"
        assert str(error) == "8.8.8.8: can't tell whose address it is: operation not permitted"
        assert dialer().refusal("8.8.8.8") == str(error)

    async def test_names_of_network_hosts_are_checked_too(self) -> None:
        """`hosts` says where a name is, not that it may be reached."""
        error = await refused(dialer(SomePolicy((), db="10.0.0.5")), "db.test")
        assert str(error) == (
            "db.test resolves to 10.0.0.5, which is private: add it to network.private in agent.yaml"
        )

    @pytest.mark.parametrize(
        ("host", "why"),
        [
            ("10.0.0.5", "10.0.0.5 is private: add it to network.private in agent.yaml"),
            (
                "db.test",
                "db.test resolves to 10.0.0.9, which is private: add it to network.private",
            ),
            ("8.8.8.8", None),
            ("api.test", None),
            ("127.0.0.1", None),
        ],
    )
    def test_what_is_known_without_a_lookup_is_told_without_dialling(
        self, host: str, why: str | None
    ) -> None:
        """CONNECT and SOCKS are refused before they are answered."""
        told = dialer(SomePolicy(("127.0.0.0/8",), db="10.0.0.9")).refusal(host)
        assert told == why or (told is not None and why is not None and told.startswith(why))

    async def test_the_policy_of_the_moment_decides(self) -> None:
        """`moat allow` changes it while the run lives."""
        policies = [SomePolicy(()), SomePolicy()]
        subject = Dialer(Network(), lambda: policies[0])
        assert subject.refusal("127.0.0.1") is not None
        del policies[0]
        assert subject.refusal("127.0.0.1") is None

    async def test_a_name_with_thousands_of_addresses_is_cut_short(self, names: Names) -> None:
        """The owner of a name could make the proxy dial thousands of addresses."""
        many = tuple(f"127.0.{n // 250}.{n % 250 + 1}" for n in range(1000))
        names.answers["many.test"] = [many]
        asked: list[str] = []

        class Watching(SomePolicy):
            def private(self, host: str, address: Address) -> bool:
                asked.append(str(address))
                return super().private(host, address)

        await refused(dialer(Watching()), "many.test", 1)
        assert asked == list(many[:MAX_ADDRESSES])


class TestFailure:
    async def test_a_name_without_address(self, names: Names) -> None:
        """The text is the resolver's own."""
        error = await refused(dialer(), "nothing.test")
        assert error.kind == "unresolved"
        assert error.dns >= 0
        assert str(error) == "nothing.test does not resolve: name or service not known"

    async def test_a_closed_port(self, closed_port: int) -> None:
        """The error is a timeout, with the time that it took."""
        error = await refused(dialer(), "127.0.0.1", closed_port)
        assert error.kind == "refused"
        assert str(error) == f"127.0.0.1:{closed_port} refused the connection"
        assert error.connect >= 0

    async def test_silence(self, silent_port: int) -> None:
        """The error names the limit, which is the user's setting."""
        error = await refused(dialer(timeout=0.1), "127.0.0.1", silent_port)
        assert error.kind == "timeout"
        assert str(error) == f"127.0.0.1:{silent_port} did not answer within 0.1 s"
        assert error.connect > 0.09

    async def test_a_silent_name_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lookup and the connection have one limit together."""
        go_on = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait(*_: object, **__: object) -> list[object]:
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(120)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", wait)
        error = await refused(dialer(timeout=0.05), "slow.test")
        go_on.set()
        assert error.kind == "timeout"
        assert str(error) == "slow.test did not resolve within 0.05 s"
        assert error.dns >= 0 > error.connect

    async def test_no_route(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As for an IPv6 address on a machine without IPv6."""

        def nowhere(_: Address) -> KernelRoute:
            return KernelRoute.NONE

        monkeypatch.setattr(routes, "route_to", nowhere)
        error = await refused(dialer(), "8.8.8.8")
        assert error.kind == "unreachable"
        assert str(error) == "8.8.8.8:443: no route to 8.8.8.8"

    async def test_addresses_without_a_route_are_not_tried(
        self, names: Names, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Addresses without a route would only blur the message about the others."""
        real = routes.route_to

        def without_ipv6(address: Address) -> KernelRoute:
            return real(address) if address.version == 4 else KernelRoute.NONE

        monkeypatch.setattr(routes, "route_to", without_ipv6)
        names.answers["both.test"] = [("::1", "127.0.0.1")]
        error = await refused(dialer(), "both.test", 1)
        assert error.kind == "refused"

    async def test_out_of_descriptors(self, exhaust_descriptors: Callable[[], None]) -> None:
        """The system's reason is given, since the server has none."""
        subject = dialer()
        subject.routes.to(ip_address("127.0.0.1"))
        exhaust_descriptors()
        error = await refused(subject, "127.0.0.1", 1)
        assert error.kind == "unreachable"
        assert str(error) == "can't connect to 127.0.0.1:1: too many open files"

    async def test_who_gives_up_leaves_no_socket(self, silent_port: int) -> None:
        """A cancelled attempt closes what it opened: warnings of unclosed sockets are errors here."""
        dialling = asyncio.create_task(dialer().dial("127.0.0.1", silent_port))
        await asyncio.to_thread(lambda: None)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling

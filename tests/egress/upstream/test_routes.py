"""The kernel's routes, and the answers that are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import ip_address

import pytest

from moat.egress.upstream import routes
from moat.egress.upstream.routes import KEPT_S, KernelRoute, KernelRoutes, route_to


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_ours(address: str) -> None:
    """All of 127/8 is this machine's, though no interface lists it."""
    assert route_to(ip_address(address)) is KernelRoute.OURS


def test_every_address_of_every_interface_is_ours() -> None:
    """The interfaces' lists, taken from iproute2, hold no address that the kernel would send away."""
    done = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True)
    own = [each["local"] for link in json.loads(done.stdout) for each in link["addr_info"]]
    assert own
    assert {route_to(ip_address(each)) for each in own} == {KernelRoute.OURS}


def test_everybodys_addresses_are_nobodys() -> None:
    """Broadcast and multicast reach whoever listens near by."""
    assert route_to(ip_address("255.255.255.255")) is KernelRoute.BROADCAST
    assert route_to(ip_address("224.0.0.1")) in {KernelRoute.MULTICAST, KernelRoute.NONE}


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_other_machines_are_away_or_out_of_reach(address: str) -> None:
    """Which of the two is for the network that the test happens to have."""
    assert route_to(ip_address(address)) in {KernelRoute.AWAY, KernelRoute.NONE}


class TestNamespace:
    """A network namespace of its own has the routes that a test machine may lack."""

    @staticmethod
    def ask(setup: str, address: str) -> str:
        """Return what `route_to` says after these commands."""
        ask = (
            "import sys; from ipaddress import ip_address;"
            "from moat.egress.upstream.routes import route_to;"
            "print(route_to(ip_address(sys.argv[1])).name)"
        )
        script = f'set -e; ip link set lo up; {setup}; exec "$0" -c "$1" "$2"'
        inside = ["unshare", "--net", "--user", "--map-root-user", "sh", "-c", script]
        done = subprocess.run(
            [*inside, sys.executable, ask, address], capture_output=True, check=True, text=True
        )
        return done.stdout.strip()

    def test_a_second_address_of_an_interface_is_ours(self) -> None:
        """Its packets would leave from the first one, which misleads a test by getsockname()."""
        setup = "ip addr add 203.0.113.1/24 dev lo; ip addr add 203.0.113.2/24 dev lo"
        assert self.ask(setup, "203.0.113.2") == "OURS"

    def test_a_local_route_makes_addresses_ours(self) -> None:
        """No interface has them; load balancers are made so, and our own sandbox."""
        assert self.ask("ip route add local 203.0.113.0/24 dev lo", "203.0.113.77") == "OURS"
        assert self.ask("ip -6 route add local 2001:db8::/32 dev lo", "2001:db8::7") == "OURS"

    @pytest.mark.parametrize("kind", ["unreachable", "prohibit", "blackhole"])
    def test_a_route_that_refuses_is_none(self, kind: str) -> None:
        """There is nothing to dial."""
        assert self.ask(f"ip route add {kind} 203.0.113.0/24", "203.0.113.7") == "NONE"

    def test_without_a_route_there_is_none(self) -> None:
        """As for IPv6 on most machines."""
        assert self.ask("true", "203.0.113.7") == "NONE"
        assert self.ask("true", "2001:db8::7") == "NONE"


def test_answers_are_kept_for_a_few_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface may come up while the run lives."""
    asked: list[str] = []

    def route(address: routes.Address) -> KernelRoute:
        asked.append(str(address))
        return KernelRoute.AWAY

    monkeypatch.setattr(routes, "route_to", route)
    now = 100.0
    known = KernelRoutes(lambda: now)
    for _ in range(3):
        known.to(ip_address("8.8.8.8"))
    assert asked == ["8.8.8.8"]
    now += KEPT_S + 0.1
    known.to(ip_address("8.8.8.8"))
    assert asked == ["8.8.8.8"] * 2

"""The host's own name in a run: listed services, and nothing else, whatever the rules say."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from moat.egress.policy.decision import Verdict
from moat.egress.policy.engine import Policy
from moat.egress.policy.routing_decision import Asker, Intercept, OpenTunnel, Refuse, decide_route
from moat.spec.network import HOST_NAME, HostService, Network

if TYPE_CHECKING:
    from moat.spec.network import PolicyMode

SERVICES = (HostService(port=5432), HostService(port=5055, name="mcp"))
MODES: tuple[PolicyMode, ...] = ("permissive", "strict", "ask")


class Addresses:
    """Every address is public, as far as is known."""

    def refusal(self, host: str) -> str | None:
        del host
        return None


def policy(mode: PolicyMode = "permissive", *rules: str, additions: tuple[str, ...] = ()) -> Policy:
    return Policy(Network(policy=mode, rules=rules, host=SERVICES), additions)


@pytest.mark.parametrize("mode", MODES)
def test_a_listed_port_is_a_tunnel(mode: PolicyMode) -> None:
    """Under every policy, and for every way to get there; its port is captured."""
    known = policy(mode)
    assert known.ports == {5432, 5055}
    for asker in (Asker.CAPTURED, Asker.TLS, Asker.CONNECT, Asker.SOCKS, Asker.TCP_TUNNEL):
        route = decide_route(known, Addresses(), asker, HOST_NAME, 5432)
        assert route == OpenTunnel("tcp", "host 5432")
    assert known.decide("GET", HOST_NAME, 5055, "/").verdict is Verdict.ALLOW
    assert known.hidden(HOST_NAME) is None
    assert known.hidden(HOST_NAME, 5055) is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", ["allow **", "allow host.moat", "allow host.moat:9999", ""])
def test_no_rule_opens_another_port(mode: PolicyMode, rule: str) -> None:
    """Neither of the run nor given later: only the list does, and the denial says so."""
    for known in (
        policy(mode, *filter(None, [rule])),
        policy(mode, additions=(rule or "allow **",)),
    ):
        for port in (80, 443, 9999):
            decision = known.decide("GET", HOST_NAME, port, "/")
            assert decision.verdict is Verdict.DENY
            assert f"lists no port {port}" in decision.reason
            assert "--host-port" in decision.reason
        refused = decide_route(known, Addresses(), Asker.CONNECT, HOST_NAME, 9999)
        assert isinstance(refused, Refuse)
        # It is answered by a 403, which `decide` gives.
        answered = decide_route(known, Addresses(), Asker.CAPTURED, HOST_NAME, 80)
        assert isinstance(answered, Intercept)


def test_tcp_and_passthrough_open_no_port_of_the_host() -> None:
    """Its name is one that no other field can use."""
    known = Policy(
        Network(tcp=("host.moat:22",), passthrough=("host.moat",), hosts={"host.moat": "10.0.0.1"})
    )
    assert isinstance(decide_route(known, Addresses(), Asker.CONNECT, HOST_NAME, 22), Refuse)
    assert isinstance(decide_route(known, Addresses(), Asker.TLS, HOST_NAME, 443), Intercept)
    assert known.decide("GET", HOST_NAME, 443, "/").verdict is Verdict.DENY
    assert known.override(HOST_NAME) == "127.0.0.1"


def test_a_rule_that_denies_outranks_the_list() -> None:
    """Also one that is given while the run lives, for a tunnel that is open; an earlier one allows."""
    assert policy("permissive", "deny host.moat").decide("GET", HOST_NAME, 5432, "/").rule == (
        "deny host.moat"
    )
    later = policy(additions=("deny host.moat:5432",))
    assert isinstance(decide_route(later, Addresses(), Asker.TCP_TUNNEL, HOST_NAME, 5432), Refuse)
    assert later.decide("GET", HOST_NAME, 5055, "/").verdict is Verdict.ALLOW
    ordered = policy("strict", "allow host.moat:5432", "deny **")
    assert ordered.decide("GET", HOST_NAME, 5432, "/").verdict is Verdict.ALLOW
    assert ordered.decide("GET", HOST_NAME, 5055, "/").verdict is Verdict.DENY


def test_under_strict_the_name_exists_where_something_is_listed() -> None:
    """Where nothing is, or all of it is denied, a question for it says nothing."""
    assert Policy(Network(policy="strict")).hidden(HOST_NAME) is not None
    assert policy("strict").hidden(HOST_NAME, 80) is not None
    assert policy("strict", "deny **").hidden(HOST_NAME) is not None


def test_the_name_leads_to_the_loopback_alone() -> None:
    """No other name does, and this one nowhere else."""
    known = policy()
    for address in ("127.0.0.1", "::1"):
        assert known.private(HOST_NAME, ip_address(address))
        assert not known.private("other.test", ip_address(address))
    assert not known.private(HOST_NAME, ip_address("10.0.0.1"))


def test_what_is_shown_of_it() -> None:
    """`moat policy` lists the services."""
    assert policy().as_json()["host"] == [5432, 5055]

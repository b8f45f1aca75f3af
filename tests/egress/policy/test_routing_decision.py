"""The route of a connection: a table of every asker, and what must hold whatever the policy is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.policy.decision import Verdict
from moat.egress.policy.engine import Policy
from moat.egress.policy.routing_decision import (
    Asker,
    Intercept,
    OpenTunnel,
    Refuse,
    Route,
    decide_route,
)
from moat.spec.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.spec.network import Mode

NETWORK = Network(
    policy="strict",
    rules=("deny cut.test", "deny web.test:80", "allow part.test:8443", "deny POST some.test"),
    allow=("any.test", "ten.test"),
    tcp=("raw.test:5432", "raw-ten.test:5432", "cut.test:5432", "web.test:80", "both.test:443"),
    passthrough=("pinned.test", "pinned-ten.test", "cut.test", "both.test"),
)
"""`ten` in a name: its address is known to be private."""


class Addresses:
    """Knows without a lookup that some hosts are private."""

    def refusal(self, host: str) -> str | None:
        private = "ten" in host or host.startswith("10.")
        return f"{host} is private: add it to network.private" if private else None


def _route(policy: Policy, asker: Asker, host: str, port: int) -> Route:
    return decide_route(policy, Addresses(), asker, host, port)


def _shown(route: Route) -> str:
    match route:
        case OpenTunnel(scheme, rule):
            return f"{scheme}: {rule}"
        case Intercept():
            return "read"
        case Refuse(decision):
            assert decision.verdict is Verdict.DENY
            return decision.rule


STRICT, PRIVATE, PORT = "policy: strict", "network.private", "one way out"
RAW, PINNED = "tcp: tcp raw.test:5432", "tls: passthrough pinned.test"
ASKERS = tuple(Asker)
assert [each.name for each in ASKERS] == [
    *("CAPTURED", "TLS", "CONNECT", "SOCKS", "REQUEST", "TCP_TUNNEL", "TLS_TUNNEL"),
    *("HTTP_TEST", "HTTPS_TEST"),
]


def _row(
    where: str,
    captured: str,
    tls: str,
    proxied: str,
    tunnels: tuple[str, str],
    tests: tuple[str, str],
) -> list[tuple[str, Asker, str]]:
    """CONNECT and SOCKS say the same, always; a request is refused for its port alone."""
    request = "read" if Policy(NETWORK).opens(int(where.rpartition(":")[2])) else PORT
    expected = (captured, tls, proxied, proxied, request, *tunnels, *tests)
    return [(where, asker, route) for asker, route in zip(ASKERS, expected, strict=True)]


TABLE = [
    # Raw TCP: a tunnel, whoever asks, but a test tells of a private address before it is dialled.
    *_row("raw.test:5432", RAW, RAW, RAW, (RAW, RAW), (RAW, RAW)),
    *_row("raw.test:22", "read", "read", STRICT, (PORT, PORT), (STRICT, STRICT)),
    *_row(
        "raw-ten.test:5432",
        *["tcp: tcp raw-ten.test:5432"] * 3,
        ("tcp: tcp raw-ten.test:5432",) * 2,
        (PRIVATE, PRIVATE),
    ),
    # A rule that denies the host outranks it. On the web's ports a client is told in its own protocol.
    *_row(
        "cut.test:5432", "deny cut.test", "read", "deny cut.test", ("deny cut.test",) * 2,
        ("deny cut.test",) * 2,
    ),
    *_row(
        "web.test:80", "read", "read", "deny web.test:80", ("deny web.test:80",) * 2,
        ("deny web.test:80",) * 2,
    ),
    # TLS that passes through: a tunnel for those who are known to speak TLS.
    *_row("pinned.test:443", "read", PINNED, "read", (PORT, PINNED), ("read", PINNED)),
    *_row("pinned.test:22", "read", PINNED, PORT, (PORT, PINNED), (PORT, PORT)),
    *_row("pinned-ten.test:443", "read", "tls: passthrough pinned-ten.test", "read",
          (PORT, "tls: passthrough pinned-ten.test"), (PRIVATE, PRIVATE)),
    *_row("cut.test:443", "read", "read", "deny cut.test", ("deny cut.test",) * 2,
          ("deny cut.test",) * 2),
    # Both open it: nothing of the bytes is read to find out whether they are TLS.
    *_row("both.test:443", *["tcp: tcp both.test:443"] * 3, ("tcp: tcp both.test:443",) * 2,
          ("tcp: tcp both.test:443",) * 2),
    # Requests are decided one by one, where some could be allowed and the port is open.
    *_row("any.test:443", "read", "read", "read", (PORT, PORT), ("read", "read")),
    *_row("any.test:8443", "read", "read", "read", (PORT, PORT), ("read", "read")),
    *_row("any.test:22", "read", "read", PORT, (PORT, PORT), (PORT, PORT)),
    *_row("part.test:8443", "read", "read", "read", (PORT, PORT), ("read", "read")),
    *_row("part.test:443", "read", "read", STRICT, (PORT, PORT), (STRICT, STRICT)),
    *_row("part.test:22", "read", "read", STRICT, (PORT, PORT), (STRICT, STRICT)),
    *_row("some.test:443", "read", "read", STRICT, (PORT, PORT), (STRICT, STRICT)),
    *_row("ten.test:443", "read", "read", PRIVATE, (PORT, PORT), (PRIVATE, PRIVATE)),
    *_row("ten.test:22", "read", "read", PRIVATE, (PORT, PORT), (PRIVATE, PRIVATE)),
    *_row("evil.test:443", "read", "read", STRICT, (PORT, PORT), (STRICT, STRICT)),
    *_row("10.0.0.1:443", "read", "read", STRICT, (PORT, PORT), (STRICT, STRICT)),
]  # fmt: skip


@pytest.mark.parametrize(("where", "asker", "route"), TABLE)
def test_where_a_connection_leads(where: str, asker: Asker, route: str) -> None:
    """By the first of the steps that applies to the asker."""
    host, _, port = where.rpartition(":")
    assert _shown(_route(Policy(NETWORK), asker, host, int(port))) == route


@pytest.mark.parametrize("mode", ["permissive", "ask"])
@pytest.mark.parametrize(
    ("where", "route"),
    [("any.test:443", "read"), ("any.test:22", PORT), ("evil.test:443", "read"),
     ("evil.test:22", PORT), ("cut.test:80", "read"), ("ten.test:80", PRIVATE)],
)  # fmt: skip
def test_a_lax_policy_opens_no_port(mode: Mode, where: str, route: str) -> None:
    """Every name exists there and is answered inside, but the ports are those of any policy."""
    host, _, port = where.rpartition(":")
    policy = Policy(Network(policy=mode, rules=("deny cut.test",)))
    for asker in (Asker.CONNECT, Asker.SOCKS, Asker.HTTP_TEST, Asker.HTTPS_TEST):
        assert _shown(_route(policy, asker, host, int(port))) == route
    request = PORT if route == PORT else "read"
    assert _shown(_route(policy, Asker.REQUEST, host, int(port))) == request


HOSTS = ("one.test", "two.test", "ten.test", "10.0.0.1")
PORTS = (22, 80, 443, 8443)
_patterns = st.sampled_from([*HOSTS, "*.test", "**", "10.0.0.0/8"])
_endpoints = st.builds("{}:{}".format, st.sampled_from(HOSTS), st.sampled_from(PORTS))
_rules = st.builds(
    "{} {}{}{}".format,
    st.sampled_from(["allow", "deny"]),
    st.sampled_from(["", "GET "]),
    _patterns | _endpoints,
    st.sampled_from(["", "", "/a/**"]),
).filter(lambda rule: "/8/a" not in rule)
_networks = st.builds(
    Network,
    policy=st.sampled_from(["permissive", "strict", "ask"]),
    rules=st.lists(_rules, max_size=4).map(tuple),
    tcp=st.lists(_endpoints, max_size=2).map(tuple),
    passthrough=st.lists(_patterns | _endpoints, max_size=2).map(tuple),
)
_where = {"host": st.sampled_from(HOSTS), "port": st.sampled_from(PORTS)}


@given(network=_networks, additions=st.lists(_rules, max_size=2), **_where)
def test_every_asker_gets_the_same_answer(
    network: Network, additions: Sequence[str], host: str, port: int
) -> None:
    """No way in opens what another refuses, and a test foretells what a run does."""
    policy = Policy(network, additions)
    routes = {asker: _route(policy, asker, host, port) for asker in Asker}
    assert routes[Asker.CONNECT] == routes[Asker.SOCKS]
    for name, tunnel in (("tcp", Asker.TCP_TUNNEL), ("tls", Asker.TLS_TUNNEL)):
        opened = [
            each for each in routes.values() if isinstance(each, OpenTunnel) and each.scheme == name
        ]
        assert all(each == routes[tunnel] for each in opened)
    for each in routes.values():
        assert not isinstance(each, Refuse) or each.decision.verdict is Verdict.DENY
    for test in (Asker.HTTP_TEST, Asker.HTTPS_TEST):
        if isinstance(routes[Asker.CONNECT], Refuse):
            assert isinstance(routes[test], Refuse)
        elif isinstance(routes[test], Refuse):
            assert isinstance(routes[Asker.REQUEST], Intercept)
            # The dial would say so: a tunnel's address is checked there.
            assert _shown(routes[test]) == PRIVATE


@given(network=_networks, **_where)
def test_what_is_refused_at_once_would_be_refused_inside(
    network: Network, host: str, port: int
) -> None:
    """A refused CONNECT hides no request that a captured connection would have let out."""
    policy = Policy(network)
    proxied = _route(policy, Asker.CONNECT, host, port)
    if not isinstance(proxied, Refuse) or proxied.decision.rule in {PRIVATE, PORT}:
        return
    for asker in (Asker.CAPTURED, Asker.TLS):
        assert not isinstance(_route(policy, asker, host, port), OpenTunnel)
    for method in ("GET", "POST"):
        for path in ("/", "/a/b"):
            assert policy.decide(method, host, port, path).verdict is Verdict.DENY


@given(network=_networks, **_where)
def test_a_denial_of_the_host_closes_every_tunnel(network: Network, host: str, port: int) -> None:
    """`moat deny RUN HOST` outranks whatever opened it."""
    policy = Policy(network, [f"deny {host}"])
    for asker in (Asker.TCP_TUNNEL, Asker.TLS_TUNNEL):
        route = _route(policy, asker, host, port)
        assert isinstance(route, Refuse)
        assert route.decision.rule == f"deny {host}"

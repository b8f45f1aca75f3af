"""Hosts of a run's grants: the policy opens them, and the proxy must see what is sent there. Pure.

The list of the policy is made from that of the credentials, so there is one list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from moat.config.network_fields import bracketed
from moat.config.own_hosts import refuse_addresses
from moat.errors import UsageError
from moat.spec.rules import Rule, host_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.spec.grants import Grant, Injection
    from moat.spec.network import Network


def with_grants(network: Network, grants: Sequence[Grant], theirs: Iterable[str]) -> Network:
    """Return the network that lets a run reach the hosts of its grants, unless a rule denies them.

    `theirs`: the hosts to which the project gives an address. A credential of the user's goes to the
    hosts of grants, so no project says which server one is. Raises `UsageError`.
    """
    if not grants:
        return network
    rules, tcp = rules_of(grants), [each for grant in grants for each in grant.tcp]
    refuse_addresses([*map(Rule.parse, rules), *map(host_rule, tcp)], theirs)
    for grant in grants:
        _refuse_tunnelled(grant, "passthrough", network.passthrough)
        _refuse_tunnelled(grant, "tcp", network.tcp)
    denied = [f"deny {bracketed(Rule.parse(each).host)}" for each in rules]
    return replace(
        network,
        rules=(*network.rules, *rules),
        tcp=tuple(dict.fromkeys((*network.tcp, *tcp))),
        project_ca_hosts=tuple(dict.fromkeys((*denied, *network.project_ca_hosts))),
    )


def check_hosts(hosts: Iterable[tuple[str, str]], grants: Iterable[Grant]) -> None:
    """Raise `UsageError` where the grant of that name isn't for that host, and so would do nothing."""
    by_name = {each.name: each for each in grants}
    for name, host in hosts:
        grant = by_name.get(name)
        if grant is None:
            continue
        patterns = (pattern for each in grant.injections for pattern in each.hosts)
        if not any(overlap(pattern, host) for pattern in patterns):
            raise UsageError(
                f"the grant {name} is not for {host}, where an MCP server of that host names it",
                "Name a grant of a provider that has that host (docs/providers.md), or none",
            )


def with_hosts(network: Network, hosts: Iterable[str]) -> Network:
    """Return the network that lets a run reach these hosts as well, unless a rule denies them."""
    return replace(network, rules=(*network.rules, *(host_rule(each).text for each in hosts)))


def rules_of(grants: Iterable[Grant]) -> tuple[str, ...]:
    """Return the rules that open the hosts of grants."""
    found: dict[str, None] = {}
    for grant in grants:
        for each in grant.injections:
            for host in each.hosts:
                for port in each.ports:
                    found |= dict.fromkeys(_rules(each, host, port))
        found |= dict.fromkeys(f"allow {host}:443" for host in grant.hosts)
    return tuple(found)


def _rules(injection: Injection, host: str, port: int) -> list[str]:
    return [
        f"allow {method} {host}:{port}{path}" if method else f"allow {host}:{port}{path}"
        for method in injection.methods or ("",)
        for path in injection.paths or ("",)
    ]


def _refuse_tunnelled(grant: Grant, field: str, tunnels: Iterable[str]) -> None:
    """Raise `UsageError` for a host whose bytes pass as they are, so that nothing can come in there."""
    granted = [
        (host, port) for each in grant.injections for host in each.hosts for port in each.ports
    ]
    for tunnelled in tunnels:
        rule = host_rule(tunnelled)
        for host, port in granted:
            if overlap(host, rule.host) and rule.port in {None, port}:
                raise UsageError(
                    f"{grant.name} can't be used: network.{field} has {tunnelled}, so Moat doesn't"
                    f" see requests to {host}",
                    f"Take {tunnelled} out of {field}, or leave the grant out",
                )


def overlap(first: str, second: str) -> bool:
    """Tell whether two patterns may mean the same host."""
    if "*" in first and "*" in second:
        ends = [pattern.rpartition("*")[2] for pattern in (first, second)]
        return ends[0].endswith(ends[1]) or ends[1].endswith(ends[0])
    pattern, host = (first, second) if "*" in first else (second, first)
    return Rule.parse(f"allow {pattern}").matches_host(host, None)

"""Hosts that are the user's: those that the command line, the settings or remembered rules name.

To such a host the user may send a key, so a project doesn't decide which server it is: not by an address
(`network.hosts`), and not by an authority of its own (`network.upstream_ca`), not even with the user's
consent. An authority of the project holds for the hosts that the project itself names, and for no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.config.network_fields import bracketed
from moat.errors import UsageError
from moat.spec.rules import Rule, host_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_EVERY_HOST: Final = "**"
_HOSTS: Final = ("tcp", "passthrough", "private", "hosts")
"""Fields whose items, or names, are hosts."""


def named(user: Mapping[str, Any], rules: Iterable[str]) -> list[Rule]:
    """Return the rules and entries of the user's that name hosts.

    `user` is the section `network` of the settings. To deny every host names none: it is how users say
    that nothing else may be reached.
    """
    own = [Rule.parse(each) for each in rules]
    own = [each for each in own if (each.action, each.host) != ("deny", _EVERY_HOST)]
    return own + [host_rule(each) for each in _entries(user)]


def refuse_addresses(own: Iterable[Rule], hosts: Iterable[str]) -> None:
    """Raise `UsageError` if the project gives an address to one of the hosts of the user's."""
    rules = list(own)
    for host in hosts:
        rule = next((each for each in rules if each.matches_host(host, None)), None)
        if rule is not None:
            raise UsageError(
                f"the project gives {host} an address (network.hosts), but your own words name that"
                f" host: {rule.text}",
                "If it is to have the address, write it into network.hosts of your settings,"
                " $MOAT_HOME/config.yaml; else take one of the two away",
            )


def authority_hosts(own: Iterable[Rule], project: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hosts for which the authorities of a project hold, as rules that allow or deny them.

    Raises `UsageError` where there is none.
    """
    allowed = [f"allow {bracketed(host)}" for host in _named_by(project)]
    if not allowed:
        raise UsageError(
            "the project has network.upstream_ca, but names no host for which it is to hold",
            "Name the hosts in network.allow or network.hosts there, or write upstream_ca into your"
            " settings, $MOAT_HOME/config.yaml",
        )
    denied = [f"deny {bracketed(each.host)}" for each in own]
    return tuple(dict.fromkeys((*denied, *allowed)))


def _named_by(project: Mapping[str, Any]) -> Iterator[str]:
    rules = [Rule.parse(each) for each in project.get("rules", ())]
    rules += [host_rule(each) for each in (*project.get("allow", ()), *_entries(project))]
    yield from (each.host for each in rules if each.action == "allow")


def _entries(section: Mapping[str, Any]) -> Iterator[str]:
    for name in _HOSTS:
        yield from (bracketed(each) for each in section.get(name, ()))

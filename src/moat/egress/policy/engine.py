"""The policy of a run: its rules in their order, and what holds where none of them matches. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.denials import Denials, shown
from moat.errors import UsageError
from moat.spec.hosts import canonical_host, endpoint
from moat.spec.network import HOST_NAME, WEB_PORTS
from moat.spec.path_skeleton import skeletons
from moat.spec.request_path import interpretations
from moat.spec.rules import Rule, host_rule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv6Address

    from moat.spec.network import Network

PLACEHOLDER: Final = "RUN"
"""The name of the run in the denials of a policy that belongs to none."""
LOOPBACK: Final = "127.0.0.1"
CACHE_LIMIT: Final = 4096
"""Decisions that are kept: a hostile program can ask for any number."""


class Policy:
    """One state of a run's policy, which never changes: `LivePolicy` replaces it as a whole.

    Hosts are in canonical form. The first rule that matches a request decides about it.
    """

    def __init__(
        self, network: Network, additions: Sequence[str] = (), run: str = PLACEHOLDER
    ) -> None:
        """`additions`: rules given while the run ran, newest first; they come before all others.

        Raises `UsageError` that names a bad rule.
        """
        self._network = network
        self._denials = Denials(run)
        self._default = f"policy: {network.policy}"
        self.additions = tuple(additions)
        self.rules = tuple(
            [Rule.parse(each) for each in (*additions, *network.rules)]
            + [host_rule(each) for each in network.allow]
        )
        self._tcp = [_endpoint_rule(each) for each in network.tcp]
        self._passthrough = [host_rule(each) for each in network.passthrough]
        self._private = [host_rule(each) for each in network.private]
        self._hosts = {canonical_host(name): to for name, to in network.hosts.items()}
        self._services = frozenset(each.port for each in network.host)
        self._mcp_at_host = frozenset(each.port for each in network.mcp if each.host == HOST_NAME)
        """Services of the host of which each request is decided by itself."""
        self.ports = self._services.union(
            each.port
            for each in (*self.rules, *self._tcp, *self._passthrough)
            if each.port and each.action == "allow"
        ).difference(WEB_PORTS)
        """Ports to capture besides those of the web."""
        self._denies_paths = any(
            each.action == "deny" and each.path is not None for each in self.rules
        )
        self._denying: dict[tuple[str, str, int], bool] = {}
        self._decided: dict[tuple[str, str, int], Decision] = {}

    # --- requests ---

    def decide(self, method: str, host: str, port: int, target: str) -> Decision:
        """Decide about a request. `target`: as it was sent, in origin-form or `*`."""
        if host == HOST_NAME and port not in self._mcp_at_host:
            return self._at_host(port)
        key = (method, host, port)
        decision = self._decided.get(key)
        if decision is not None:
            return decision
        rules = self._rules_about(method, host, port)
        plain = next((at for at, rule in enumerate(rules) if rule.path is None), len(rules))
        if plain:
            # Rules behind one about any path are never asked.
            return self._decide_by_path(rules[: plain + 1], method, host, port, target)
        decision = (
            self._by_rule(rules[0], method, host, port)
            if rules
            else self._unlisted(method, host, port)
        )
        if len(self._decided) >= CACHE_LIMIT:
            self._decided.clear()
        self._decided[key] = decision
        return decision

    def denies_paths(self, method: str, host: str, port: int) -> bool:
        """Tell whether a rule denies some paths of a host to a method."""
        if not self._denies_paths:
            return False
        key = (method, host, port)
        denies = self._denying.get(key)
        if denies is None:
            if len(self._denying) >= CACHE_LIMIT:
                self._denying.clear()
            rules = self._rules_about(method, host, port)
            denies = any(each.action == "deny" and each.path is not None for each in rules)
            self._denying[key] = denies
        return denies

    def denied_path(self, method: str, host: str, port: int, target: str) -> Decision | None:
        """Return the denial of a target that a request only mentions, by a rule about paths."""
        rules = self._rules_about(method, host, port)
        about_paths = list(takewhile(lambda rule: rule.path is not None, rules))
        if not any(rule.action == "deny" for rule in about_paths):
            return None
        decision = self._decide_by_path(about_paths, method, host, port, target)
        by_rule = decision.verdict is Verdict.DENY and decision.rule != self._default
        return decision if by_rule else None

    def _rules_about(self, method: str, host: str, port: int) -> list[Rule]:
        return [
            rule
            for rule in self.rules
            if rule.matches_method(method) and rule.matches_host(host, port)
        ]

    def unanswered(self, method: str, host: str, port: int, why: str) -> Decision:
        """Return the denial of a request about which the user gave no answer."""
        what = f"{method} {endpoint(host, port)}"
        return self._denials.by_default(f"{self._default}, {why}", what, host)

    def _unlisted(self, method: str, host: str, port: int) -> Decision:
        """Decide about a request that no rule matches."""
        mode = self._network.policy
        if mode == "permissive":
            return Decision(Verdict.ALLOW, self._default)
        what = f"{method} {endpoint(host, port)}"
        denial = self._denials.by_default(self._default, what, host)
        return replace(denial, verdict=Verdict.ASK) if mode == "ask" else denial

    def _decide_by_path(
        self, rules: list[Rule], method: str, host: str, port: int, target: str
    ) -> Decision:
        """Deny a request where one reading of its path is denied; allow it where all are allowed."""
        readings, clear = interpretations(target)
        matches: list[Rule | None] = []
        for reading in readings:
            match = next((rule for rule in rules if rule.matches_path(reading)), None)
            if match is not None and match.action == "deny":
                return self._by_rule(match, method, host, port, reading)
            matches.append(match)
        if not clear:
            return self._denials.ambiguous(method, host, port, target)
        disguised = self._deny_disguised(rules, method, host, port, target)
        if disguised is not None:
            return disguised
        first = matches[0]
        if first is not None and None not in matches:
            return Decision(Verdict.ALLOW, first.text)
        default = self._unlisted(method, host, port)
        if default.verdict is Verdict.DENY and any(matches):
            return self._denials.ambiguous(method, host, port, target)
        return default

    def _deny_disguised(
        self, rules: list[Rule], method: str, host: str, port: int, target: str
    ) -> Decision | None:
        """Return the denial of a path with a skeleton that a rule denies, or that can't be known.

        An earlier rule that allows the path as it is spelt comes first, if it allows the skeleton, too.
        """
        if not any(rule.action == "deny" and rule.path is not None for rule in rules):
            return None
        found, clear = skeletons(target)
        if not clear:
            return self._denials.ambiguous(method, host, port, target)
        readings = interpretations(target).paths
        heeded = [
            rule for rule in rules if rule.action == "deny" or all(map(rule.matches_path, readings))
        ]
        for skeleton in found:
            match = next((rule for rule in heeded if _is_about(rule, skeleton)), None)
            if match is not None and match.action == "deny":
                return self._by_rule(match, method, host, port, skeleton)
        return None

    def _by_rule(self, rule: Rule, method: str, host: str, port: int, path: str = "") -> Decision:
        if rule.action == "allow":
            return Decision(Verdict.ALLOW, rule.text)
        what = f"{method} {endpoint(host, port)}{shown(path)}"
        return self._denials.by_rule(rule.text, what, host)

    # --- hosts and ports as a whole ---

    def hidden(self, host: str, port: int | None = None) -> Decision | None:
        """Return why a name does not exist: under `strict`, because no rule could allow it.

        With a port, because no rule could allow it there. Asking for such a name must tell nobody
        anything. Under other policies every name exists, so that whoever goes there learns which
        rule denies it.
        """
        if self._network.policy != "strict":
            return None
        if host == HOST_NAME:
            return self._hidden_host(port)
        what = host if port is None else endpoint(host, port)
        first = self._first_plain(host, port)
        if first is not None:
            return (
                None if first.action == "allow" else self._denials.by_rule(first.text, what, host)
            )
        if any(each.matches_host(host, port) for each in (*self._tcp, *self._passthrough)):
            return None
        return self._denials.by_default(self._default, what, host)

    def tcp(self, host: str, port: int) -> Decision | None:
        """Decide about raw TCP; `None` where no entry of `network.tcp` names the host and port.

        A rule that denies all of the host there outranks the entry.
        """
        if host == HOST_NAME:
            return None if port in self._mcp_at_host else self._at_host(port)
        entry = next((each for each in self._tcp if each.matches_host(host, port)), None)
        if entry is None:
            return None
        allowed = Decision(Verdict.ALLOW, f"tcp {entry.text.removeprefix('allow ')}")
        return self.overruling(host, port) or allowed

    def passes_through(self, host: str, port: int) -> str | None:
        """Return the entry of `network.passthrough` for a host, unless a rule denies all of it."""
        entry = next((each for each in self._passthrough if each.matches_host(host, port)), None)
        if entry is None or host == HOST_NAME or self.overruling(host, port) is not None:
            return None
        return f"passthrough {entry.text.removeprefix('allow ')}"

    def _at_host(self, port: int) -> Decision:
        """Decide about a port of the host: only a service that is listed can be reached."""
        if port not in self._services:
            return self._denials.by_host_service(port)
        return self.overruling(HOST_NAME, port) or Decision(Verdict.ALLOW, f"host {port}")

    def _hidden_host(self, port: int | None) -> Decision | None:
        """Return why the name of the host does not exist, at a port or at all."""
        ports = self._services if port is None else {port}
        decisions = [self._at_host(each) for each in ports or {0}]
        denials = [each for each in decisions if each.verdict is Verdict.DENY]
        return denials[0] if len(denials) == len(decisions) else None

    def overruling(self, host: str, port: int) -> Decision | None:
        """Return the denial of all of a host at a port, if no earlier rule allows some of it."""
        first = self._first_plain(host, port)
        if first is None or first.action == "allow":
            return None
        return self._denials.by_rule(first.text, endpoint(host, port), host)

    def opens(self, port: int) -> bool:
        """Tell whether connections to a port are captured."""
        return port in WEB_PORTS or port in self.ports

    def unopened(self, host: str, port: int) -> Decision:
        """Return the denial of a port that is not captured."""
        return self._denials.by_port(host, port)

    def _first_plain(self, host: str, port: int | None) -> Rule | None:
        """Return the first rule that allows any of a host, or denies all of it."""
        for rule in self.rules:
            if rule.matches_host(host, port):
                if rule.action == "allow":
                    return rule
                if rule.method is None and rule.path is None and (rule.port is None or port):
                    return rule
        return None

    # --- addresses ---

    def override(self, host: str) -> str | None:
        """Return the address that `network.hosts` gives a name; that of the host is its loopback."""
        return LOOPBACK if host == HOST_NAME else self._hosts.get(host)

    def private(self, host: str, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether `network.private` names a host, or the address that it has.

        The host's own name may lead to its loopback: it is dialled for a listed port alone.
        """
        return (host == HOST_NAME and address.is_loopback) or any(
            rule.matches_host(host, None) or rule.matches_host(str(address), None)
            for rule in self._private
        )

    def as_json(self) -> dict[str, Any]:
        network = self._network
        return {
            "policy": network.policy,
            "additions": list(self.additions),
            "rules": [rule.text for rule in self.rules[len(self.additions) :]],
            "tcp": list(network.tcp),
            "passthrough": list(network.passthrough),
            "host": [each.port for each in network.host],
            "private": list(network.private),
            "hosts": dict(network.hosts),
        }


def _is_about(rule: Rule, skeleton: str) -> bool:
    """Tell whether a rule decides about a skeleton, or about names with colons, so that none counts."""
    return rule.matches_skeleton(skeleton) or (
        rule.action == "allow" and rule.path is not None and ":" in rule.path
    )


def _endpoint_rule(text: str) -> Rule:
    rule = host_rule(text)
    if rule.port is None:
        raise UsageError(f"{text!r} names no port", "Write host:port")
    return rule

"""What a run may reach: rules in their order, and what holds where none of them matches. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, Final

from moat.errors import UsageError
from moat.spec.hosts import canonical_host
from moat.spec.request_path import interpretations
from moat.spec.rules import Rule, host_rule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv6Address

    from moat.spec.network import Network

PLACEHOLDER: Final = "RUN"
"""Where a policy is no run's."""
ONE_WAY_OUT: Final = "one way out"
"""The rule by which a port that nothing opens is denied: it can't be changed."""
WEB_PORTS: Final = (80, 443)
"""Captured in every run, whatever its policy."""
CACHE_LIMIT: Final = 4096
"""LivePolicy that are remembered: a hostile program can ask for many."""


class Verdict(StrEnum):
    ALLOW = auto()
    DENY = auto()
    ASK = auto()


_FROM_LENIENT_TO_STRICT: Final = (Verdict.ALLOW, Verdict.ASK, Verdict.DENY)


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    rule: str
    """As it was written, or `policy: MODE` where none matched."""
    reason: str = ""
    """Unless it is allowed, in one line of ASCII: what, which rule, what to change."""

    @property
    def strictness(self) -> int:
        """Of several decisions about one thing, the strictest holds."""
        return _FROM_LENIENT_TO_STRICT.index(self.verdict)

    @property
    def why(self) -> str:
        """The reason as the record has it, where nobody need be told who says so."""
        return self.reason.removeprefix("moat: ")


def denial_header(decision: Decision) -> bytes:
    """For programs: the value of X-Moat-Denied."""
    rule = re.sub(r"[^\x20-\x7e]", "?", decision.rule)
    return f"rule={rule}".encode("ascii")


class Policy:
    """One state of a run's policy; `additions` were given later, newest first, and come first."""

    def __init__(
        self, network: Network, additions: Sequence[str] = (), run: str = PLACEHOLDER
    ) -> None:
        """`run`: its name, for what denials advise. Raises `UsageError` that names the bad rule."""
        self._network = network
        self._run = run
        self.additions = tuple(additions)
        self.rules = tuple(
            [Rule.parse(each) for each in (*additions, *network.rules)]
            + [host_rule(each) for each in network.allow]
        )
        self._tcp = [_endpoint(each) for each in network.tcp]
        self._passthrough = [host_rule(each) for each in network.passthrough]
        self._private = [host_rule(each) for each in network.private]
        self._hosts = {canonical_host(name): to for name, to in network.hosts.items()}
        self.ports = frozenset(
            each.port
            for each in (*self.rules, *self._tcp, *self._passthrough)
            if each.port and each.action == "allow"
        ).difference(WEB_PORTS)
        """To be captured besides the web's own."""
        self._decided: dict[tuple[str, str, int], Decision] = {}

    def decide(self, method: str, host: str, port: int, path: str) -> Decision:
        """`host` canonical, `path` as the request has it."""
        key = (method, host, port)
        decision = self._decided.get(key)
        if decision is not None:
            return decision
        rules = [
            rule
            for rule in self.rules
            if rule.matches_method(method) and rule.matches_host(host, port)
        ]
        plain = next((at for at, rule in enumerate(rules) if rule.path is None), len(rules))
        if plain:
            rules = rules[: plain + 1]  # behind a rule about any path, none is asked
            return self._by_path(rules, method, host, port, path)
        decision = self._result(rules[0] if rules else None, method, host, port)
        if len(self._decided) >= CACHE_LIMIT:
            self._decided.clear()
        self._decided[key] = decision
        return decision

    def hidden(self, host: str, port: int | None = None) -> Decision | None:
        """Why this name does not exist: under `strict`, one that no rule could allow at that port.

        Without a port, at none. Nothing can be told or learned by asking for it. Elsewhere a name exists
        even where it is denied, so that whoever goes there is told by which rule.
        """
        if self._network.policy != "strict":
            return None
        where = host if port is None else _where(host, port)
        first = self._first_plain(host, port)
        if first is None:
            if any(each.matches_host(host, port) for each in (*self._tcp, *self._passthrough)):
                return None
        elif first.action == "allow":
            return None
        else:
            return self._by_rule(first, where, host)
        default = f"policy: {self._network.policy}"
        return Decision(Verdict.DENY, default, self._by_default(where, host, default))

    def tcp(self, host: str, port: int) -> Decision | None:
        """Whether an entry of `network.tcp` opens it, or is overruled: a rule denies all of the host.

        `None` where there is no such entry.
        """
        entry = next((each for each in self._tcp if each.matches_host(host, port)), None)
        if entry is None:
            return None
        allowed = Decision(Verdict.ALLOW, f"tcp {entry.text.removeprefix('allow ')}")
        return self.overruling(host, port) or allowed

    def passes_through(self, host: str, port: int) -> str | None:
        """The entry of `network.passthrough` that names it, unless a rule denies all of it."""
        entry = next((each for each in self._passthrough if each.matches_host(host, port)), None)
        if entry is None or self.overruling(host, port) is not None:
            return None
        return f"passthrough {entry.text.removeprefix('allow ')}"

    def overruling(self, host: str, port: int) -> Decision | None:
        """The rule that denies all of a host at a port, before any other allows some of it."""
        first = self._first_plain(host, port)
        if first is None or first.action == "allow":
            return None
        return self._by_rule(first, _where(host, port), host)

    def opens(self, port: int) -> bool:
        """Whether connections to this port are captured."""
        return port in WEB_PORTS or port in self.ports

    def unopened(self, host: str, port: int) -> Decision:
        """The denial of a port that is not captured, whatever the host may be."""
        where = _where(host, port)
        return Decision(
            Verdict.DENY,
            ONE_WAY_OUT,
            f"moat: {where} denied: only DNS, ports 80 and 443 and what the policy opens lead out, and"
            f" nothing opens port {port}. To open: {self._advice(host, port)}, or allow"
            f" {where}, in network.rules of agent.yaml (network.tcp, for neither HTTP nor TLS)",
        )

    def _first_plain(self, host: str, port: int | None) -> Rule | None:
        """What the rules say of a host as a whole: the first that allows any of it, or denies all."""
        for rule in self.rules:
            if rule.matches_host(host, port):
                if rule.action == "allow":
                    return rule
                if rule.method is None and rule.path is None and (rule.port is None or port):
                    return rule
        return None

    def override(self, host: str) -> str | None:
        """The address that the user gave a name."""
        return self._hosts.get(host)

    def private(self, host: str, address: IPv4Address | IPv6Address) -> bool:
        """Whether `network.private` names the host, or the address that it has."""
        return any(
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
            "private": list(network.private),
            "hosts": dict(network.hosts),
        }

    def _by_path(self, rules: list[Rule], method: str, host: str, port: int, path: str) -> Decision:
        """Denied where any form of the path is; allowed where all of them are."""
        paths, clear = interpretations(path)
        found = [
            (next((rule for rule in rules if rule.matches_path(each)), None), each)
            for each in paths
        ]
        for rule, each in found:
            if rule is not None and rule.action == "deny":
                return self._result(rule, method, host, port, each)
        listed = [rule for rule, _ in found if rule is not None]
        if len(listed) == len(found) and clear:
            return self._result(listed[0], method, host, port)
        default = self._result(None, method, host, port)
        if clear and (not listed or default.verdict is not Verdict.DENY):
            return default
        reason = f"servers understand {_ascii(_without_values(path))} in different ways"
        return Decision(
            Verdict.DENY,
            "ambiguous path",
            f"moat: {method} {_where(host, port)} denied: {reason}, and rules look at paths here",
        )

    def _result(
        self, rule: Rule | None, method: str, host: str, port: int, path: str = ""
    ) -> Decision:
        if rule is not None:
            if rule.action == "allow":
                return Decision(Verdict.ALLOW, rule.text)
            return self._by_rule(rule, f"{method} {_where(host, port)}{_ascii(path)}", host)
        mode = self._network.policy
        default = f"policy: {mode}"
        if mode == "permissive":
            return Decision(Verdict.ALLOW, default)
        if mode == "ask":
            return Decision(Verdict.ASK, default, self.unlisted(method, host, port, default))
        return Decision(Verdict.DENY, default, self.unlisted(method, host, port, default))

    def unlisted(self, method: str, host: str, port: int, default: str) -> str:
        """Why a request that no rule knows is denied."""
        return self._by_default(f"{method} {_where(host, port)}", host, default)

    def _by_default(self, what: str, host: str, default: str) -> str:
        return (
            f"moat: {what} denied: no rule allows it ({default}). "
            f"To allow: {self._advice(host)}, or network.allow in agent.yaml"
        )

    def _by_rule(self, rule: Rule, what: str, host: str) -> Decision:
        why = f"moat: {what} denied by rule: {rule.text}. To change: {self._advice(host)}"
        return Decision(Verdict.DENY, rule.text, why)

    def _advice(self, host: str, port: int | None = None) -> str:
        """To be pasted into a shell, to which brackets are a pattern."""
        shown = f"[{host}]" if ":" in host else host
        where = shown if port is None else f"{shown}:{port}"
        return f"moat allow {self._run} " + (f"'{where}'" if ":" in host else where)


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ascii(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "?", text)[:200]


def _without_values(target: str) -> str:
    """Of a target, what is no secret: what follows `?` or `;` may be a token."""
    return re.sub(r";[^/]*", ";...", target.partition("?")[0])


def _endpoint(text: str) -> Rule:
    rule = host_rule(text)
    if rule.port is None:
        raise UsageError(f"{text!r} names no port", "Write host:port")
    return rule

"""The denials of a policy: for each, one line that says what is denied, why, and what to change. Pure.

The line goes to the agent, as the body of a 403, and into the record. It is ASCII, and whatever the
sandbox chose of it (a path) is made harmless.
"""

from __future__ import annotations

import re
from typing import Final

from moat.egress.policy.decision import Decision, Verdict
from moat.spec.hosts import endpoint
from moat.spec.network import HOST_NAME

ONE_WAY_OUT: Final = "one way out"
"""The rule by which a port that nothing opens is denied; it isn't the user's, and always holds."""
HOST_SERVICES: Final = "network.host"
"""The field that lists the services of the host; what it doesn't list is denied."""
_SHOWN: Final = 200
"""Characters of a path."""


class Denials:
    def __init__(self, run: str) -> None:
        """`run`: the name of the run, for the commands that a denial advises."""
        self._run = run

    def by_rule(self, rule: str, what: str, host: str) -> Decision:
        """Deny what a rule denies. `what`: what was asked for; `host`: whom to allow instead."""
        why = f"moat: {what} denied by rule: {rule}. To change: {self._command(host)}"
        return Decision(Verdict.DENY, rule, why)

    def by_default(self, default: str, what: str, host: str) -> Decision:
        """Deny what no rule allows. `default`: what holds then, as in `policy: strict`."""
        advice = f"{self._command(host)}, or network.allow in agent.yaml"
        why = f"moat: {what} denied: no rule allows it ({default}). To allow: {advice}"
        return Decision(Verdict.DENY, default, why)

    def by_port(self, host: str, port: int) -> Decision:
        """Deny a port that nothing opens, whatever the host."""
        where = endpoint(host, port)
        return Decision(
            Verdict.DENY,
            ONE_WAY_OUT,
            f"moat: {where} denied: only DNS, ports 80 and 443 and what the policy opens lead out, and"
            f" nothing opens port {port}. To open: {self._command(host, port)}, or allow {where}, in"
            " network.rules of agent.yaml (network.tcp, for neither HTTP nor TLS)",
        )

    def by_host_service(self, port: int) -> Decision:
        """Deny a port of the host that isn't listed as a service."""
        return Decision(
            Verdict.DENY,
            HOST_SERVICES,
            f"moat: {endpoint(HOST_NAME, port)} denied: {HOST_SERVICES} lists no port {port} of this"
            f" machine. To open, when a run starts: moat run --host-port {port}, or {HOST_SERVICES} in"
            " agent.yaml",
        )

    def ambiguous(self, method: str, host: str, port: int, target: str) -> Decision:
        """Deny a path that servers understand in different ways, where rules look at paths."""
        what = f"{method} {endpoint(host, port)}"
        reason = f"servers understand {shown(_without_values(target))} in different ways"
        return Decision(
            Verdict.DENY,
            "ambiguous path",
            f"moat: {what} denied: {reason}, and rules look at paths here",
        )

    def _command(self, host: str, port: int | None = None) -> str:
        """Return the command that allows a host, fit to be pasted into a shell.

        To a shell, the brackets of an IPv6 address are a pattern.
        """
        where = f"[{host}]" if ":" in host else host
        if port is not None:
            where = f"{where}:{port}"
        return f"moat allow {self._run} " + (f"'{where}'" if ":" in host else where)


def shown(text: str) -> str:
    """Return the beginning of a text from the sandbox in printable ASCII."""
    return re.sub(r"[^\x21-\x7e]", "?", text)[:_SHOWN]


def _without_values(target: str) -> str:
    """Leave out what may be a secret of a request target: what follows `?` or `;`."""
    return re.sub(r";[^/]*", ";...", target.partition("?")[0])

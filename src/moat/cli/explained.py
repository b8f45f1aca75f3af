"""`moat policy test`: what a run would say to a request, found in the order in which a run finds it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from moat.config import agent_file, network, settings
from moat.egress.http.messages import RequestHead
from moat.egress.http.method_override import other_readings
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.engine import Policy
from moat.egress.policy.routing_decision import Asker, OpenTunnel, Refuse, decide_route
from moat.egress.upstream.dialer import Dialer
from moat.errors import UsageError
from moat.paths import moat_home
from moat.runs.saved_rules import saved_rules
from moat.spec.hosts import canonical_host

if TYPE_CHECKING:
    from pathlib import Path

_METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_WORDS: Final = {Verdict.ALLOW: "allowed", Verdict.DENY: "denied", Verdict.ASK: "asks the user"}


class _Asked(NamedTuple):
    method: str
    scheme: str
    host: str
    port: int
    path: str


def decision_on(file: Path, method: str, url: str) -> tuple[str, bool]:
    """What to tell the user, and whether it is allowed. Raises `UsageError`."""
    asked = _asked(method, url)
    home = moat_home()
    user = settings.load(home)
    found = network.join_network(
        agent_file.load(file, narrowing=not user.trust_project),
        user.network,
        saved_rules(home, str(file.parent.resolve())),
    )
    policy = Policy(found)
    decision = _decided(policy, Dialer(found, lambda: policy), asked)
    words = f"{_WORDS[decision.verdict]}: {decision.rule}"
    if decision.reason:
        words += f"\n{decision.reason}"
    return words, decision.verdict is Verdict.ALLOW


def _asked(method: str, url: str) -> _Asked:
    if not _METHOD.fullmatch(method):
        raise UsageError(f"{method!r} is not a method", "Write one like GET or POST")
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = canonical_host(parts.hostname or "")
    except (KeyError, ValueError):
        raise UsageError(f"{url!r} is not a URL", "Write https://host/path") from None
    query = f"?{parts.query}" if parts.query else ""
    return _Asked(method.upper(), parts.scheme, host, port, (parts.path or "/") + query)


def _decided(policy: Policy, dialer: Dialer, asked: _Asked) -> Decision:
    asker = Asker.HTTPS_TEST if asked.scheme == "https" else Asker.HTTP_TEST
    route = decide_route(policy, dialer, asker, asked.host, asked.port)
    if isinstance(route, OpenTunnel):
        return Decision(
            Verdict.ALLOW,
            route.rule,
            "The bytes pass unread: no rule about methods or paths applies.",
        )
    return route.decision if isinstance(route, Refuse) else _of_request(policy, asked)


def _of_request(policy: Policy, asked: _Asked) -> Decision:
    """The strictest of what is decided about all that a server may take it for."""
    request = RequestHead(asked.method, asked.path, [])
    readings = [(asked.method, asked.path), *other_readings(request, asked.path)]
    decisions = [policy.decide(method, asked.host, asked.port, path) for method, path in readings]
    return max(decisions, key=lambda decision: decision.strictness)

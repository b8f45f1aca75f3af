"""`moat policy test`: the decision of a run about a request, asked of the parts that a run asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from moat.cli.trust import note_open_question
from moat.config import agent_file, network, settings
from moat.egress.http.messages import RequestHead
from moat.egress.http.method_override import strictest_decision
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


class _Request(NamedTuple):
    method: str
    scheme: str
    host: str
    port: int
    path: str


def decision_on(file: Path, method: str, url: str) -> tuple[str, bool]:
    """Return what to tell the user, and whether the request is allowed. Raises `UsageError`."""
    request = _parse(method, url)
    home = moat_home()
    user = settings.load(home)
    project = agent_file.load(file)
    note_open_question(project)
    joined = network.join_network(
        project.network, user.network, saved_rules(home, str(project.folder))
    )
    policy = Policy(joined)
    decision = _decide(policy, Dialer(joined, lambda: policy), request)
    words = f"{_WORDS[decision.verdict]}: {decision.rule}"
    if decision.reason:
        words += f"\n{decision.reason}"
    return words, decision.verdict is Verdict.ALLOW


def _parse(method: str, url: str) -> _Request:
    if not _METHOD.fullmatch(method):
        raise UsageError(f"{method!r} is not a method", "Write a method like GET or POST")
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = canonical_host(parts.hostname or "")
    except (KeyError, ValueError):
        raise UsageError(f"{url!r} is not a URL", "Write https://host/path") from None
    query = f"?{parts.query}" if parts.query else ""
    return _Request(method.upper(), parts.scheme, host, port, (parts.path or "/") + query)


def _decide(policy: Policy, dialer: Dialer, request: _Request) -> Decision:
    asker = Asker.HTTPS_TEST if request.scheme == "https" else Asker.HTTP_TEST
    route = decide_route(policy, dialer, asker, request.host, request.port)
    if isinstance(route, OpenTunnel):
        return Decision(
            Verdict.ALLOW,
            route.rule,
            "The bytes pass unread: no rule about methods or paths applies.",
        )
    if isinstance(route, Refuse):
        return route.decision
    head = RequestHead(request.method, request.path, [])
    decision, _, _ = strictest_decision(policy, head, request.host, request.port, request.path)
    return decision

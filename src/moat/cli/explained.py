"""`moat policy test`: the decision of a run about a request, asked of the parts that a run asks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from moat.cli.trust import note_open_question
from moat.config import agent_file, mcp, network, settings
from moat.config.granted_hosts import with_grants
from moat.credentials.granted import GrantedCredentials
from moat.egress.authorization.choice import Grants
from moat.egress.http.interfaces import Destination
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
    from collections.abc import Sequence
    from pathlib import Path

    from moat.spec import Grant

_METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_WORDS: Final = {Verdict.ALLOW: "allowed", Verdict.DENY: "denied", Verdict.ASK: "asks the user"}


class _Request(NamedTuple):
    method: str
    scheme: str
    host: str
    port: int
    path: str


def decision_on(
    file: Path, method: str, url: str, given: Sequence[str], profile: str
) -> tuple[str, bool]:
    """Return what to tell the user, and whether the request is allowed.

    `given`: the grants besides those of the file; `profile`: that of grants that name none. Raises
    `UsageError`, and `GrantMissingError` for a credential that isn't there.
    """
    request = _parse(method, url)
    home = moat_home()
    user = settings.load(home)
    project = agent_file.load(file)
    note_open_question(project)
    entries = project.content.get("mcp", ())
    servers = mcp.joined(mcp.servers(user.mcp), mcp.servers(entries))
    joined = network.join_network(
        mcp.opening(project.network, mcp.servers(entries)),
        mcp.opening(user.network, mcp.servers(user.mcp)),
        saved_rules(home, str(project.folder)),
    )
    joined = replace(joined, mcp=servers)
    names = (*project.content.get("grants", ()), *mcp.grants_of(user.mcp, entries), *given)
    grants = GrantedCredentials(home, None).grants(names, profile) if names else ()
    theirs = project.network.get("hosts", {}).keys() - user.network.get("hosts", {}).keys()
    joined = with_grants(joined, grants, theirs)
    policy = Policy(joined)
    decision = _decide(policy, Dialer(joined, lambda: policy), request)
    words = f"{_WORDS[decision.verdict]}: {decision.rule}"
    if decision.reason:
        words += f"\n{decision.reason}"
    if decision.verdict is not Verdict.DENY and grants:
        words += f"\n{_credential(grants, request)}"
    return words, decision.verdict is Verdict.ALLOW


def _credential(grants: Sequence[Grant], request: _Request) -> str:
    """Say which credential the request would use, if it carries what the sandbox was given."""
    server = Destination(request.scheme, request.host, request.port)
    chosen = Grants(grants).candidates(
        RequestHead(request.method, request.path, []), server, request.path
    )
    if not chosen:
        return "credential: none"
    which = " or ".join(grant.name for grant in chosen)
    return f"credential: {which}" + (", by its placeholder" if len(chosen) > 1 else "")


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

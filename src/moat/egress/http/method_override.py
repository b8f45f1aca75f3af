"""Other methods and targets that a server may understand a request by. Pure.

They stand in fields (`override_fields`) or, for a method, in a parameter of the query. Where a rule
denies some paths of a server, no field may mention one of these, whatever it is called. A method in a
body (`_method` of a form) is not considered, nor is a path in a parameter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote_plus

from moat.egress.http.override_fields import mentioned_targets
from moat.egress.policy.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.egress.http.messages import RequestHead
    from moat.egress.policy.decision import Decision

_PARAMETER: Final = re.compile(
    # As it stands alone, `method` is mostly the name of a function.
    r"(?:[^a-z0-9]|http[^a-z0-9]?)(?:method|verb)|method[^a-z0-9]?override"
)
_METHOD: Final = re.compile(r"[A-Za-z]{1,32}")
_SEPARATORS: Final = re.compile(r"[?&;]")


class Decider(Protocol):
    def decide(self, method: str, host: str, port: int, target: str, /) -> Decision: ...
    def denies_paths(self, method: str, host: str, port: int, /) -> bool:
        """Tell whether a rule denies some paths of a host to a method."""
        ...

    def denied_path(self, method: str, host: str, port: int, target: str, /) -> Decision | None:
        """Return the denial of a target that a request only mentions, by a rule about paths."""
        ...


def strictest_decision(
    decider: Decider, request: RequestHead, host: str, port: int, target: str
) -> tuple[Decision, str, str]:
    """Decide about all readings of a request, and return the strictest decision.

    The method and the target that it is about come with it. Every reading must be allowed, and a
    denial comes before a question. `target`: the request's own, in origin-form.
    """
    method = request.method
    strictest = decider.decide(method, host, port, target), method, target
    for method, path in other_readings(request, target):
        decision = decider.decide(method, host, port, path)
        if decision.strictness > strictest[0].strictness:
            strictest = decision, method, path
    if strictest[0].verdict is Verdict.DENY:
        return strictest
    return _decide_mentioned(decider, request, host, port) or strictest


def _decide_mentioned(
    decider: Decider, request: RequestHead, host: str, port: int
) -> tuple[Decision, str, str] | None:
    """Return the denial of a path that a field mentions, with the method and the path."""
    methods = [
        method
        for method in (request.method, *request.overriding)
        if decider.denies_paths(method, host, port)
    ]
    if not methods:
        return None
    for path in mentioned_targets(request.fields):
        for method in methods:
            decision = decider.denied_path(method, host, port, path)
            if decision is not None:
                return decision, method, path
    return None


def other_readings(request: RequestHead, target: str) -> Iterator[tuple[str, str]]:
    """Yield further methods with their targets, which most requests have none of.

    `target`: the request's own, in origin-form.
    """
    if not request.overriding and not request.rerouted and "?" not in target:
        return
    for path in (target, *request.rerouted):
        methods = (request.method, *request.overriding, *methods_in_query(path))
        for method in dict.fromkeys(methods):
            if (method, path) != (request.method, target):
                yield method, path


def methods_in_query(target: str) -> list[str]:
    query = target.partition("?")[2]
    methods: list[str] = []
    for parameter in _SEPARATORS.split(query):
        name, _, value = parameter.partition("=")
        if _PARAMETER.search(unquote_plus(name).lower()):
            method = unquote_plus(value).strip()
            if _METHOD.fullmatch(method):
                methods.append(method.upper())
    return methods

"""Other methods and targets that a server may understand a request by. Pure.

Frameworks let clients that can only GET and POST name another method, in a field or in a parameter of
the query; servers behind a rewriting proxy believe its fields about the path. A method in a body
(`_method` of a form) is not considered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.egress.http.messages import RequestHead
    from moat.egress.policy.decision import Decision

_PARAMETERS: Final = frozenset(("_method", "_httpmethod", "x-http-method-override"))
_METHOD: Final = re.compile(r"[A-Za-z]{1,32}")
_SEPARATORS: Final = re.compile(r"[?&;]")


class Decider(Protocol):
    def decide(self, method: str, host: str, port: int, target: str, /) -> Decision: ...


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
    return strictest


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
        if unquote_plus(name).strip().lower() in _PARAMETERS:
            method = unquote_plus(value).strip()
            if _METHOD.fullmatch(method):
                methods.append(method.upper())
    return methods

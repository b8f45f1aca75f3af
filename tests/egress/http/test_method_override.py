"""Methods and targets that a server may use instead of a request's own."""

from __future__ import annotations

import pytest

from moat.egress.http.h1.parser import parse_request_head
from moat.egress.http.messages import BadMessageError, RequestHead
from moat.egress.http.method_override import (
    methods_in_query,
    other_readings,
    strictest_decision,
)
from moat.egress.policy.decision import Verdict
from moat.egress.policy.engine import Policy
from moat.spec.network import Network


def _head(*fields: bytes, target: bytes = b"/a", method: bytes = b"POST") -> RequestHead:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: a.test", *fields, b"", b""]
    return parse_request_head(b"\r\n".join(lines))


def _others(*fields: bytes, target: str = "/a") -> list[tuple[str, str]]:
    return list(other_readings(_head(*fields, target=target.encode()), target))


@pytest.mark.parametrize(
    ("field", "method"),
    [
        (b"X-HTTP-Method-Override: DELETE", "DELETE"),
        (b"X_HTTP_METHOD_OVERRIDE: delete", "DELETE"),
        (b"X-Http_Method: PUT", "PUT"),
        (b"x-method-override:  Patch ", "PATCH"),
    ],
)
def test_a_field_may_name_another_method(field: bytes, method: str) -> None:
    """`_` counts as `-`, because servers that pass fields as variables can't tell them apart."""
    assert _others(field) == [(method, "/a")]


@pytest.mark.parametrize(
    ("field", "target"),
    [
        (b"X-Original-URL: /secret/x", "/secret/x"),
        (b"X-Rewrite-URL: secret", "/secret"),
        (b"x_original_url: https://a.test/secret?q", "/secret?q"),
        (b"X-Original-URI: //secret", "//secret"),
        (b"X-Forwarded-Uri: /caf\xc3\xa9", "/caf%C3%A9"),
    ],
)
def test_a_field_may_name_another_path(field: bytes, target: str) -> None:
    """Proxies pass the original path to servers in these fields."""
    assert _others(field) == [("POST", target)]


@pytest.mark.parametrize(
    ("query", "methods"),
    [
        ("_method=DELETE", ["DELETE"]),
        ("a=b&_Method=delete&c", ["DELETE"]),
        ("%5fm%65thod=p%55t;_method=+patch", ["PUT", "PATCH"]),
        ("_method=two+words&method=PUT&_method", []),
        ("X-HTTP-Method-Override=PUT", ["PUT"]),
    ],
)
def test_a_query_may_name_another_method(query: str, methods: list[str]) -> None:
    """The parameter's name may have any spelling, and its value must be a method."""
    assert methods_in_query(f"/a?{query}") == methods


def test_each_method_may_go_with_each_path() -> None:
    """Servers differ in which of them they heed, so every combination counts."""
    found = _others(b"X-HTTP-Method: PUT", b"X-Original-URL: /b?_method=DELETE", target="/a?x")
    assert found == [
        ("PUT", "/a?x"),
        ("POST", "/b?_method=DELETE"),
        ("PUT", "/b?_method=DELETE"),
        ("DELETE", "/b?_method=DELETE"),
    ]


def test_an_ordinary_request_is_itself_alone() -> None:
    """An ordinary request has no other reading, and hop-by-hop fields make none."""
    assert _others(b"X-Plain: y", target="/a?b=c") == []
    assert _others(b"Connection: x-original-url", b"X-Original-URL: /b") == []


def test_so_many_at_once_are_refused() -> None:
    """Every combination needs a decision, and only a hostile program sends many."""
    fields = [b"X-Original-URL: /%d" % number for number in range(5)]
    with pytest.raises(BadMessageError):
        _head(*fields)


def test_the_strictest_decision_about_any_reading_holds() -> None:
    """A denied reading comes before one that the user is asked about, and that before an allowed one."""
    request = _head(b"X-HTTP-Method: PUT", b"X-Method-Override: DELETE")
    for rules, strictest in (
        (("allow a.test",), ("POST", Verdict.ALLOW)),
        (("allow POST a.test", "allow PUT a.test"), ("DELETE", Verdict.ASK)),
        (("allow POST a.test", "deny DELETE a.test"), ("DELETE", Verdict.DENY)),
    ):
        policy = Policy(Network(policy="ask", rules=rules))
        decision, method, target = strictest_decision(policy, request, "a.test", 80, "/a")
        assert (method, decision.verdict) == strictest
        assert target == "/a"

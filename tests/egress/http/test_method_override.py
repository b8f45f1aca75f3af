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
        (b"X.HTTP.Method.Override: PUT", "PUT"),
        (b"HTTP-Method-Override: PUT", "PUT"),
        (b"X-Method: put", "PUT"),
        (b"X-Original-Method: DELETE", "DELETE"),
        (b"X-Forwarded-Method: DELETE", "DELETE"),
        (b"X-HTTP-Verb: delete", "DELETE"),
        (b"_method: PROPPATCH", "PROPPATCH"),
        (b'X-Tunneled-Method: "DELETE";q=1', "DELETE"),
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
        *(
            (name + b": /secret", "/secret")
            for name in (
                *(b"X-Override-URL", b"X_Override_Url", b"X-Forwarded-URL", b"X-Forwarded-Path"),
                *(b"X-Forwarded-Prefix", b"X-HTTP-DestinationURL", b"X-HTTP-Destination-Url"),
                *(b"X-Proxy-URL", b"X-Request-URI", b"Request-Uri", b"REQUEST_URI", b"X-Real-URL"),
                *(b"X-Original-Path", b"X.Rewrite.Url", b"XRewriteUrl", b"X-Rewritten-Uri", b"Url"),
                *(b"X-MS-Original-URL", b"X-Waws-Unencoded-Url", b"X-Envoy-Original-Path"),
                *(b"X-Replaced-Path", b"X-Accel-Redirect", b"X-Sendfile", b"Path-Info", b"X-Uri"),
                *(b"Destination", b"X-Script-Name", b"Redirect-Url", b"Base-Url", b"Http-Path"),
            )
        ),
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
        ("_method[]=PUT&$httpMethod=PATCH&http_verb=DELETE", ["PUT", "PATCH", "DELETE"]),
        ("method=PUT&verb=DELETE&submethods=GET", []),
    ],
)
def test_a_query_may_name_another_method(query: str, methods: list[str]) -> None:
    """The parameter's name may have any spelling, and its value must be a method."""
    assert methods_in_query(f"/a?{query}") == methods


def test_a_field_may_name_several_paths() -> None:
    """Servers differ in which of them they take, and in whether it is one path."""
    assert _others(b"X-Original-URL: /a, /b") == [
        ("POST", "/a, /b"),
        ("POST", "/b"),
    ]


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
    assert _others(b"Access-Control-Request-Method: PUT", b"X-Rpc-Method: eth.get") == []
    assert _others(b"Upgrade-Insecure-Requests: 1", b"X-Request-Id: /b", b"Referer: /b") == []
    assert _others(b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Host: b", b"Callback-Url: /b") == []
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


DENYING = Policy(Network(rules=("deny DELETE a.test/items/**", "deny a.test/secret/**")))


@pytest.mark.parametrize(
    "field",
    [
        b"X-Anything: /secret/x",
        b"X-Anything: /SECRET::$DATA",
        b"X-Anything: https://elsewhere.test/secret",
        b"X-Anything: //a.test/secret",
        b"X-Anything: /public, /secret",
        b"X-Anything: </secret>; rel=x",
        b"Forwarded: for=192.0.2.1;path=/secret",
        b'Forwarded: for=192.0.2.1; uri="/secret"',
        b"X-Amz-Copy-Source: /secret/key",
        b"If: <https://a.test/secret> (<opaquelocktoken:1>)",
        b"X-Anything: /x%2f..%2fsecret",
        b"X-Original-URL: /secret",
        b"X-Original-URL: sec\tret",
        b"X-Original-URL: \\secret",
        b"Destination: /secret",
        b"X-Anything: " + b" ".join(b"/%d" % number for number in range(200)),
    ],
)
def test_no_field_may_mention_a_path_that_a_rule_denies(field: bytes) -> None:
    """Whatever the field is called, some server may take its path for that of the request."""
    decision, _, _ = strictest_decision(DENYING, _head(field), "a.test", 80, "/a")
    assert decision.verdict is Verdict.DENY


@pytest.mark.parametrize(
    "field",
    [
        b"X-Anything: /public/secret",
        b"Referer: https://a.test/secret",
        b"Cookie: last=/secret",
        b"User-Agent: x/1 (+https://a.test/secret)",
        b"X-Key: /9j/4AAQSkZJRg+abc/secret==",
        b"Accept: text/html, */*;q=0.8",
        b"X-Anything: /items/1",
        b"X-HTTP-Method-Override: PUT",
    ],
)
def test_ordinary_fields_pass_beside_rules_about_paths(field: bytes) -> None:
    """A path that no rule denies may be mentioned, and fields about the client aren't heeded."""
    decision, _, _ = strictest_decision(DENYING, _head(field), "a.test", 80, "/a")
    assert decision.verdict is Verdict.ALLOW


def test_a_mentioned_path_counts_with_each_method() -> None:
    """A path in one field goes with a method in another."""
    request = _head(b"X-Anything: /items/1", b"X-HTTP-Method: DELETE")
    decision, method, path = strictest_decision(DENYING, request, "a.test", 80, "/a")
    assert (decision.verdict, method, path) == (Verdict.DENY, "DELETE", "/items/1")


def test_a_field_that_its_sender_lists_for_removal_is_neither_considered_nor_sent() -> None:
    """`Connection` removes fields before the policy sees the request, and those alone."""
    request = _head(b"Connection: x-http-method", b"X-HTTP-Method: PUT", b"X_HTTP_Method: DELETE")
    assert request.overriding == ("DELETE",)
    assert request.fields == [(b"X_HTTP_Method", b"DELETE")]


def test_a_default_is_no_reason_to_deny_what_is_only_mentioned() -> None:
    """Under `strict`, a field may mention a path that no rule is about."""
    policy = Policy(Network(policy="strict", rules=("deny a.test/secret/**", "allow a.test/v1/**")))
    for field, verdict in ((b"X-A: /v2", Verdict.ALLOW), (b"X-A: /secret", Verdict.DENY)):
        decision, _, _ = strictest_decision(policy, _head(field), "a.test", 80, "/v1/x")
        assert decision.verdict is verdict


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", [b"original", b"x", b"/a ", b"a:", b"urlpath", b'"'])
def test_no_field_takes_long(text: bytes) -> None:
    """A hostile program writes names and values, and the supervisor does nothing else meanwhile."""
    piece = text * (60_000 // len(text))
    name = piece.replace(b"/a ", b"a").replace(b":", b"b").replace(b'"', b"c")[:60_000]
    strictest_decision(DENYING, _head(b"X-A: " + piece), "a.test", 80, "/a")
    strictest_decision(DENYING, _head(name + b": x"), "a.test", 80, "/a")

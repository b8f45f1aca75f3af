"""The guard of responses, call by call: what it passes on, masks and breaks off."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

import pytest

from moat.egress.authorization.choice import Use
from moat.egress.authorization.places import UnusableCredentialError
from moat.egress.authorization.placing import Outgoing, ask_for_readable_response, with_credential
from moat.egress.authorization.response_guard import ResponseGuard
from moat.egress.http.messages import UNTIL_CLOSE, RequestHead, ResponseHead
from moat.egress.http.secret_masking import Secrets
from moat.egress.traffic.entry import TrafficEntry
from moat.spec import Grant, Injection

SECRET = b"the-real-token"


@dataclass
class Recorder:
    """An exchange that notes what reaches it."""

    entry: TrafficEntry = field(default_factory=lambda: TrafficEntry("request", 0.0))
    may_withdraw: bool = True
    calls: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.calls.append((name, *arguments, *named.values()))

    def withdraw(self) -> bool:
        return self.may_withdraw

    def response_data(self, payload: list[bytes]) -> None:
        self.calls.append(("response_data", b"".join(payload)))

    @property
    def body(self) -> bytes:
        return b"".join(call[1] for call in self.calls if call[0] == "response_data")

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def exchange() -> Recorder:
    return Recorder()


@pytest.fixture
def echoes() -> list[str]:
    return []


@pytest.fixture
def guard(exchange: Recorder, echoes: list[str]) -> ResponseGuard:
    known = [("github", Secrets(SECRET)), ("other", Secrets(b"another-secret"))]
    return ResponseGuard(exchange, known, lambda name, _host, _port: echoes.append(name))  # type: ignore[arg-type]


def respond(guard: ResponseGuard, *fields: tuple[bytes, bytes], framing: int = UNTIL_CLOSE) -> None:
    guard.response_head(ResponseHead(200, list(fields), framing))


def test_a_head_is_masked(guard: ResponseGuard, exchange: Recorder, echoes: list[str]) -> None:
    """In its fields and in its reason, and the incident is told once."""
    head = ResponseHead(302, [(b"Location", b"/?t=" + SECRET)])
    head.reason = b"for " + SECRET
    guard.response_head(head)
    assert head.fields == [(b"Location", b"/?t=" + b"*" * len(SECRET))]
    reason = ResponseHead(103, [])
    reason.reason = SECRET
    guard.response_head(reason)
    assert reason.reason == b"*" * len(SECRET)
    assert echoes == ["github"]
    assert exchange.names == ["response_head", "response_head"]


def test_trailers_and_the_end_are_masked(guard: ResponseGuard, exchange: Recorder) -> None:
    """What was held back as the beginning of a secret is passed on at the end."""
    respond(guard)
    guard.response_data([b"x" + SECRET[:-1]])
    guard.response_end([(b"X-Sum", SECRET)])
    assert exchange.body == b"x" + SECRET[:-1]
    assert exchange.calls[-1] == ("response_end", [(b"X-Sum", b"*" * len(SECRET))])


def test_what_is_no_response_passes(guard: ResponseGuard, exchange: Recorder) -> None:
    """Back-pressure, flushes, and the loss of the server."""
    guard.upstream_full()
    guard.upstream_drained()
    guard.response_flush()
    exchange.entry.protocol = "websocket"
    guard.upstream_lost("gone", unused=False)
    guard.failed(502, "no")
    assert exchange.names == [
        *("upstream_full", "upstream_drained", "response_flush", "upstream_lost", "failed"),
    ]


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        (b"gzip", gzip.compress(b"x" * 99 + SECRET), "in its body, which is coded"),
        (b"gzip", b"this is not gzip at all", "can't be searched"),
        (b"compress", b"", "has the coding 'compress'"),
    ],
    ids=["echo", "garbage", "unknown coding"],
)
def test_a_coded_response_is_broken_off(
    guard: ResponseGuard, exchange: Recorder, coding: bytes, body: bytes, why: str
) -> None:
    """It can't be masked; and afterwards nothing of it passes."""
    respond(guard, (b"Content-Encoding", coding))
    if body:
        guard.response_data([body])
    assert exchange.calls[-1][:2] == ("failed", 502)
    assert why in exchange.calls[-1][2]
    if not body:
        return
    before = len(exchange.calls)
    guard.response_data([b"more"])
    guard.response_head(ResponseHead(200, []))
    guard.response_end([])
    guard.response_flush()
    guard.upstream_full()
    guard.upstream_drained()
    guard.upstream_lost("gone", unused=True)
    guard.failed(502, "again")
    assert len(exchange.calls) == before


def test_a_refused_credential_is_asked_for_anew(guard: ResponseGuard, exchange: Recorder) -> None:
    """The answer that refuses it doesn't reach the client, unless the request can't be repeated."""
    refused: list[str] = []
    guard.on_refused = lambda: refused.append("refused")
    exchange.may_withdraw = False
    guard.response_head(ResponseHead(401, []))
    assert (refused, exchange.names) == ([], ["response_head"])
    exchange.may_withdraw = True
    guard.on_refused = lambda: refused.append("refused")
    guard.response_head(ResponseHead(401, []))
    assert (refused, exchange.names) == (["refused"], ["response_head"])


def test_a_length_that_is_known_ends_the_search(guard: ResponseGuard, exchange: Recorder) -> None:
    """The last bytes aren't held back, whatever they look like."""
    respond(guard, framing=len(SECRET) - 1)
    guard.response_data([SECRET[:-1]])
    assert exchange.body == SECRET[:-1]
    guard.response_end([])
    assert exchange.names[-1] == "response_end"


def placed(
    injection: Injection, *fields: tuple[bytes, bytes], body: bytes | None = None
) -> Outgoing:
    grant = Grant(provider="x", injections=(injection,), placeholders={"token": "placeholder"})
    request = RequestHead("POST", "/", list(fields))
    outgoing = Outgoing(request, "/a?k=placeholder", b"a.test", body)
    return with_credential(outgoing, Use(grant, (injection,)), {"token": 'a"b&c'})


def test_a_body_is_escaped_as_its_format_wants() -> None:
    """A secret with a quote or an ampersand stays one value."""
    into = Injection(hosts=("a.test",), kind="body", replace=True)
    form = (b"content-type", b"application/x-www-form-urlencoded")
    assert placed(into, form, body=b"t=placeholder").body == b"t=a%22b%26c"
    assert placed(into, body=b'{"t": "placeholder"}').body == b'{"t": "a\\"b&c"}'
    with pytest.raises(UnusableCredentialError, match="another credential"):
        placed(into, body=b'{"t": "of-the-attacker"}')
    with pytest.raises(UnusableCredentialError, match="coded"):
        placed(into, (b"Content-Encoding", b"gzip"), body=b"placeholder")


def test_a_placeholder_in_a_query_or_in_basic_is_replaced() -> None:
    """Escaped in a URL, and coded again in Basic authentication."""
    query = placed(Injection(hosts=("a.test",), kind="query", name="k", replace=True))
    assert query.target == "/a?k=a%22b%26c"
    value = b"Basic " + b"dTpwbGFjZWhvbGRlcg=="  # u:placeholder
    basic = placed(Injection(hosts=("a.test",), replace=True), (b"Authorization", value))
    assert basic.request.fields == [(b"Authorization", b"Basic dTphImImYw==")]


def test_the_server_is_asked_for_what_can_be_read() -> None:
    """Other codings are taken out, and the compression of WebSockets."""
    request = RequestHead(
        "GET",
        "/",
        [(b"Accept-Encoding", b"zstd, gzip;q=0.5"), (b"Sec-WebSocket-Extensions", b"deflate")],
    )
    ask_for_readable_response(request)
    assert request.fields == [(b"Accept-Encoding", b"gzip;q=0.5")]

"""The guard of MCP servers, in front of a server that notes what reaches it."""

from __future__ import annotations

import json

import pytest
from tests.egress.http.exchange_play import Play

from moat.egress.http.messages import CHUNKED, NO_BODY
from moat.egress.mcp.guard import GuardedServer, McpGuard
from moat.spec.mcp import McpServer

SERVER = McpServer(
    name="issues",
    scheme="https",
    host="a.test",
    port=443,
    path="/x",
    allow=("get_*", "create team=ENG"),
    deny=("get_secret",),
)
OPEN = McpServer(name="open", scheme="https", host="a.test", port=443, path="/x")


class Guarded:
    def __init__(
        self,
        method: str = "POST",
        *,
        framing: int = CHUNKED,
        server: McpServer = SERVER,
        **more: object,
    ) -> None:
        self.play = Play(method, framing=framing, **more)
        self.play.gateway.authorizes_at_once = False
        self.passed = 0
        self.play.exchange.begin()
        self._server = server

    def proceed(self) -> None:
        self.passed += 1

    def decide(self, *pieces: bytes) -> Guarded:
        exchange = self.play.exchange
        found = McpGuard([self._server]).server_of(exchange)
        assert found is not None
        found.pass_on(exchange, self.proceed)
        for each in pieces:
            assert not self.passed
            exchange.request_data([each])
        if pieces:
            exchange.request_end([])
        return self


def calling(tool: str, **arguments: object) -> bytes:
    params = {"name": tool, "arguments": arguments}
    message = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
    return json.dumps(message).encode()


def test_a_call_that_is_allowed_waits_for_its_end() -> None:
    content = calling("get_issue")
    guarded = Guarded().decide(content[:10], content[10:])
    assert guarded.passed == 1
    assert guarded.play.entry.rule == "mcp issues: get_issue"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (calling("delete"), "no pattern of mcp.allow matches it"),
        (calling("create", team="OPS"), "no pattern of mcp.allow matches it"),
        (calling("get_secret"), "mcp.deny matches it"),
        (calling("GET_SECRET"), "mcp.deny matches it"),
    ],
)
def test_a_call_that_is_denied(content: bytes, why: str) -> None:
    """The model is answered in its own protocol; the record says what was denied."""
    guarded = Guarded().decide(content)
    assert not guarded.passed
    answer = json.loads(guarded.play.heard[-2].removeprefix("client: "))
    assert answer["id"] == 5
    assert why in answer["result"]["content"][0]["text"]
    entry = guarded.play.entry
    assert (entry.verdict, entry.status) == ("denied", 200)
    assert entry.rule.startswith("mcp issues: ")
    assert why in entry.error


def test_a_message_that_is_unclear() -> None:
    guarded = Guarded().decide(b"[]")
    assert not guarded.passed
    assert "client: 403" in guarded.play.heard
    assert guarded.play.entry.error.endswith("issues is denied: it is not an object")


def test_other_messages_pass() -> None:
    assert Guarded().decide(b'{"method": "tools/list", "id": 1}').passed
    assert Guarded("GET", framing=NO_BODY).decide().passed
    assert Guarded("DELETE", framing=NO_BODY).decide().passed


@pytest.mark.parametrize(
    ("method", "framing", "more"),
    [
        ("GET", CHUNKED, {}),
        ("PUT", CHUNKED, {}),
        ("GET", NO_BODY, {"upgrade": b"websocket"}),
        ("POST", CHUNKED, {"overriding": ("PUT",)}),
    ],
)
def test_a_head_that_may_mean_another_request(
    method: str, framing: int, more: dict[str, object]
) -> None:
    guarded = Guarded(method, framing=framing, **more).decide()
    assert not guarded.passed
    assert guarded.play.entry.verdict == "denied"


def test_a_server_without_patterns_only_has_its_calls_recorded() -> None:
    guarded = Guarded(server=OPEN).decide(calling("anything"))
    assert guarded.passed
    assert guarded.play.entry.rule == "mcp open: anything"
    assert Guarded(server=OPEN).decide(b"[]").passed
    assert Guarded("PUT", server=OPEN).decide(b"[]").passed


@pytest.mark.parametrize(
    ("target", "is_at"),
    [
        ("/x", True),
        ("/x/", True),
        ("/x?y=1", True),
        ("/%78", True),
        ("/y/../x", True),
        ("//x", True),
        ("/X", True),
        ("/x::$DATA", True),
        ("/x;a=b", True),
        ("/%2e%2fx", True),  # nobody knows what a server makes of it
        ("/y", False),
        ("/x/y", False),
    ],
)
def test_the_url_of_a_server_in_other_spellings(target: str, is_at: bool) -> None:
    server = GuardedServer(SERVER)
    assert server.is_at("a.test", 443, target) == is_at
    assert not server.is_at("a.test", 8443, target)
    assert not server.is_at("b.test", 443, target)


def test_the_first_server_at_a_url_decides() -> None:
    play = Play("POST", framing=CHUNKED)
    found = McpGuard([SERVER, OPEN]).server_of(play.exchange)
    assert found is not None
    assert found.name == "issues"
    assert McpGuard([]).server_of(play.exchange) is None

"""Messages of MCP: which of them is the call of a tool, and which may be more than one thing."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.mcp.messages import MOST_BYTES, Call, UnclearMessageError, call_in, refusal

JSON = [(b"Content-Type", b"application/json")]


def body(**more: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call"} | more).encode()


def test_the_call_of_a_tool() -> None:
    params = {"name": "get_issue", "arguments": {"id": "ENG-1"}, "_meta": {"progressToken": 7}}
    assert call_in(JSON, body(params=params)) == Call(1, "get_issue", {"id": "ENG-1"})
    assert call_in(JSON, body(id="a", params={"name": "x"})) == Call("a", "x", {})
    assert call_in([], body(params={"name": "x", "arguments": None})) == Call(1, "x", {})


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 2, "method": "resources/templates/list"},
        {"jsonrpc": "2.0", "id": 2, "method": "server/discover"},
        {"jsonrpc": "2.0", "id": 3, "result": {}},
        {"jsonrpc": "2.0", "id": 3, "error": {"code": 1, "message": "x"}},
    ],
)
def test_other_messages(message: dict[str, object]) -> None:
    assert call_in(JSON, json.dumps(message).encode()) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"[" * 200_000, "it is not JSON"),
        (b'{"id": ' + b"9" * 5000 + b', "method": "ping"}', "it is not JSON"),
        (b'{"id": NaN, "method": "ping"}', "it is not JSON"),
        (b"\xef\xbb\xbf" + body(params={"name": "x"}), "it is not JSON"),
        (body(params={"name": "x"}).decode().encode("utf-16"), "it is not JSON"),
        (b'{"method": "ping", "x": "\xff"}', "it is not JSON"),
        (b"[" + body(params={"name": "x"}) + b"]", "it is not an object"),
        (b'"tools/call"', "it is not an object"),
        (b'{"method": "ping", "method": "tools/call"}', "given twice"),
        (b'{"method": "tools/call", "params": {"name": "a", "name": "b"}}', "given twice"),
        (b'{"method": "tools/call", "params": {"name": "a", "\\u006eame": "b"}}', "given twice"),
        (b'{"method": "ping", "Method": "tools/call"}', "different spellings"),
        (b'{"METHOD": "tools/call", "result": {}}', "different spellings"),
        (body(params={"Name": "x"}), "different spellings"),
        (body(params={"name": "a", "NAME": "b"}), "different spellings"),
        (body(params={"name": "a", "arguments": {"t": 1, "T": 2}}), "different spellings"),
        (body(params={"name": "a", "Arguments": {}}), "different spellings"),
        (b'{"jsonrpc": "2.0", "id": 1}', "no method"),
        (body(method="Tools/call"), "none of the protocol's"),
        (body(method="tools/call "), "none of the protocol's"),
        (body(method="tools/invoke"), "none of the protocol's"),
        (body(method=["tools/call"]), "none of the protocol's"),
        (body(), "its params is not an object"),
        (body(params=["x"]), "its params is not an object"),
        (body(params={"name": 1}), "no plain name"),
        (body(params={"name": "a b"}), "no plain name"),
        (body(params={"name": "x", "arguments": []}), "its arguments is not an object"),
        (body(id=[1], params={"name": "x"}), "neither text nor a number"),
        (b" " * (MOST_BYTES + 1), "longer than 4 MiB"),
    ],
)
def test_a_message_that_may_be_another(content: bytes, why: str) -> None:
    """A server could take it for a call that isn't seen here, or for another one."""
    with pytest.raises(UnclearMessageError, match=why):
        call_in(JSON, content)


@pytest.mark.parametrize(
    "field",
    [
        (b"content-encoding", b"gzip"),
        (b"Content-Type", b"text/plain"),
        (b"Content-Type", b"application/json; charset=utf-7"),
        (b"Content-Type", b"application/json-patch+json"),
    ],
)
def test_a_body_that_is_not_plain_json(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(UnclearMessageError):
        call_in([field], body(params={"name": "x"}))


def test_a_body_whose_coding_is_said() -> None:
    fields = [
        (b"Content-Type", b'Application/JSON; charset="UTF-8"'),
        (b"Content-Encoding", b"identity"),
    ]
    assert call_in(fields, body(params={"name": "x"})) == Call(1, "x", {})


@given(
    st.binary(max_size=200)
    | st.recursive(st.text() | st.integers() | st.none(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_nothing_else_is_raised(content: bytes) -> None:
    with suppress(UnclearMessageError):
        call_in([], content)


def test_the_answer_to_a_denied_call() -> None:
    """The model reads why, as the result of its own call."""
    answer = json.loads(refusal(Call("a", "x", {}), "moat: no"))
    assert answer["id"] == "a"
    assert answer["result"] == {"content": [{"type": "text", "text": "moat: no"}], "isError": True}

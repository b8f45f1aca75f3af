"""The observer of an exchange, which records headers, the beginning of bodies, tokens."""

from __future__ import annotations

import json

import pytest

from moat.egress.http.messages import RequestHead, ResponseHead
from moat.egress.http.observer import Observer
from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.llm_usage import asks_model
from moat.egress.traffic.schema import BODY_LIMIT

ASKED = [(b"X-Asked", b"1")]
ANSWERED = [(b"Content-Type", b"application/json")]


def _entry(method: str = "POST", path: str = "/") -> TrafficEntry:
    entry = TrafficEntry("request", 0.0)
    entry.method, entry.path = method, path
    entry.asks_model = asks_model(method, path)
    return entry


def _observe(entry: TrafficEntry, capture: str, asked: list[bytes], answered: list[bytes]) -> None:
    observer = Observer(entry, RequestHead(entry.method, entry.path, ASKED), capture)
    observer.request(asked)
    observer.response_head(ResponseHead(200, ANSWERED))
    observer.response(answered)
    observer.finish()


@pytest.mark.parametrize(
    ("capture", "fields", "body"),
    [("none", None, None), ("headers", ASKED, None), ("bodies", ASKED, b"onetwo")],
)
def test_it_keeps_what_was_asked_for(
    capture: str, fields: list[tuple[bytes, bytes]] | None, body: bytes | None
) -> None:
    """An observer records nothing, headers, or headers and bodies, as the run's `capture` says."""
    entry = _entry()
    _observe(entry, capture, [b"one", b"two"], [b"three"])

    assert entry.request_fields == fields
    assert entry.response_fields == (None if fields is None else ANSWERED)
    assert entry.request_body == body
    assert entry.response_body == (None if body is None else b"three")


def test_the_beginning_of_a_long_body_is_kept() -> None:
    """No more than the limit is held in memory, however much is sent and in however many pieces."""
    entry = _entry()
    _observe(entry, "bodies", [b"a" * BODY_LIMIT, b"b"], [b"c" * (BODY_LIMIT + 1)])

    assert entry.request_body == b"a" * BODY_LIMIT
    assert entry.response_body == b"c" * BODY_LIMIT


def test_tokens_are_counted_without_a_capture() -> None:
    """The response of a language model is counted under the name that was requested."""
    entry = _entry(path="/v1/messages")
    answer = json.dumps({"model": "m-1", "usage": {"input_tokens": 3, "output_tokens": 4}})
    _observe(entry, "none", [b'{"model": "m"}'], [answer[:9].encode(), answer[9:].encode()])

    assert entry.usage is not None
    assert (entry.usage["input_tokens"], entry.usage["output_tokens"]) == (3, 4)


def test_an_error_has_no_tokens() -> None:
    """A response with another status than 200 is not counted."""
    entry = _entry(path="/v1/messages")
    observer = Observer(entry, RequestHead("POST", entry.path, []), "none")
    observer.response_head(ResponseHead(500, ANSWERED))
    observer.response([b'{"usage": {"input_tokens": 3}}'])
    observer.finish()

    assert entry.usage is None


@pytest.mark.parametrize(("address", "estimated"), [("192.0.2.1", 250), ("", None)])
def test_a_client_that_hangs_up_before_the_answer_has_asked(
    address: str, estimated: int | None
) -> None:
    """The tokens of its request are estimated, if a server has got it."""
    entry = _entry(path="/v1/messages")
    observer = Observer(entry, RequestHead("POST", entry.path, []), "none")
    observer.request([b'{"model": "m-1"}'])
    entry.sent, entry.address, entry.verdict = 1000, address, "failed"
    observer.finish()

    asked = {"provider": "anthropic", "model": "m-1", "estimated_tokens": estimated}
    assert entry.usage == (asked if estimated else None)

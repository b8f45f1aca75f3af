"""Tokens in the responses of language models, in the shapes that vendors document."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.traffic import llm_usage


def _events(*values: object) -> bytes:
    return b"".join(b"event: x\ndata: " + json.dumps(value).encode() + b"\n\n" for value in values)


ANTHROPIC = {
    "type": "message",
    "model": "claude-test-1",
    "content": [{"type": "text", "text": "hello"}],
    "usage": {
        "input_tokens": 25,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 5,
        "output_tokens": 15,
    },
}
ANTHROPIC_STREAM = _events(
    {"type": "message_start", "message": ANTHROPIC | {"usage": {"input_tokens": 25,
     "cache_creation_input_tokens": 7, "cache_read_input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'usage "model"'}},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
)  # fmt: skip
OPENAI = {
    "object": "chat.completion",
    "model": "gpt-test",
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    },
}
OPENAI_STREAM = (
    _events(
        {"model": "gpt-test", "choices": [{"delta": {"content": "a"}}], "usage": None},
        {"model": "gpt-test", "choices": [], "usage": OPENAI["usage"]},
    )
    + b"data: [DONE]\n\n"
)
RESPONSES_STREAM = _events(
    {"type": "response.created", "response": {"model": "gpt-test", "usage": None}},
    {"type": "response.completed", "response": {"model": "gpt-test", "usage": {
        "input_tokens": 20, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 3}}}},
)  # fmt: skip
GEMINI = {
    "candidates": [],
    "modelVersion": "gemini-test",
    "usageMetadata": {
        "promptTokenCount": 11,
        "cachedContentTokenCount": 8,
        "toolUsePromptTokenCount": 2,
        "candidatesTokenCount": 6,
        "thoughtsTokenCount": 40,
        "totalTokenCount": 59,
    },
}

SHAPES: dict[str, tuple[str, bool, bytes, dict[str, Any]]] = {
    "anthropic": ("/v1/messages", False, json.dumps(ANTHROPIC).encode(), {
        "provider": "anthropic", "model": "claude-test-1", "input_tokens": 25, "output_tokens": 15,
        "cache_read_tokens": 5, "cache_write_tokens": 7}),
    "anthropic stream": ("/v1/messages?beta=true", True, ANTHROPIC_STREAM, {
        "provider": "anthropic", "model": "claude-test-1", "input_tokens": 25, "output_tokens": 15,
        "cache_read_tokens": 5, "cache_write_tokens": 7}),
    "openai": ("/v1/chat/completions", False, json.dumps(OPENAI).encode(), {
        "provider": "openai", "model": "gpt-test", "input_tokens": 16, "output_tokens": 10,
        "cache_read_tokens": 4, "reasoning_tokens": 3}),
    "openai stream": ("/v1/chat/completions", True, OPENAI_STREAM, {
        "provider": "openai", "model": "gpt-test", "input_tokens": 16, "output_tokens": 10,
        "cache_read_tokens": 4, "reasoning_tokens": 3}),
    "openai responses": ("/v1/responses", True, RESPONSES_STREAM, {
        "provider": "openai", "model": "gpt-test", "input_tokens": 16, "output_tokens": 10,
        "cache_read_tokens": 4, "reasoning_tokens": 3}),
    "gemini": ("/v1beta/models/x:generateContent", False, json.dumps(GEMINI).encode(), {
        "provider": "gemini", "model": "gemini-test", "input_tokens": 5, "output_tokens": 46,
        "cache_read_tokens": 8, "reasoning_tokens": 40}),
    "gemini stream": ("/v1beta/models/x:streamGenerateContent?alt=sse", True,
        _events({"modelVersion": "gemini-test"}, GEMINI), {
        "provider": "gemini", "model": "gemini-test", "input_tokens": 5, "output_tokens": 46,
        "cache_read_tokens": 8, "reasoning_tokens": 40}),
    "gemini array": ("/v1beta/models/x:streamGenerateContent", False,
        json.dumps([{"modelVersion": "gemini-test"}, GEMINI]).encode(), {
        "provider": "gemini", "model": "gemini-test", "input_tokens": 5, "output_tokens": 46,
        "cache_read_tokens": 8, "reasoning_tokens": 40}),
}  # fmt: skip


def _meter(target: str, stream: bool, coding: bytes = b"") -> llm_usage.Meter:
    kind = b"text/event-stream; charset=utf-8" if stream else b"application/json"
    found = llm_usage.meter("POST", target, kind, coding)
    assert found is not None
    return found


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("coding", [b"", b"gzip", b"deflate"])
def test_each_shape_is_understood(name: str, coding: bytes) -> None:
    """Each shape is understood whole and byte by byte, plain and compressed."""
    target, stream, body, counted = SHAPES[name]
    sent = {b"": lambda x: x, b"gzip": gzip.compress, b"deflate": zlib.compress}[coding](body)
    for size in (len(sent), 1):
        meter = _meter(target, stream, coding)
        for at in range(0, len(sent), size):
            meter.feed(sent[at : at + size])
        assert meter.finish() == counted


@given(cuts=st.lists(st.integers(0, 900), max_size=6), end=st.integers(0, 2000))
def test_a_stream_that_is_cut_off_keeps_what_had_come(cuts: list[int], end: int) -> None:
    """A stream that is cut off counts what has been received, and never more."""
    edges = sorted({0, *cuts, end})
    meter = _meter("/v1/messages", stream=True)
    for start, stop in pairwise(edges):
        meter.feed(ANTHROPIC_STREAM[:end][start:stop])
    whole = _meter("/v1/messages", stream=True)
    whole.feed(ANTHROPIC_STREAM[:end])
    assert meter.finish() == whole.finish()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"usage": {"input_tokens": -1, "output_tokens": true}}',
        b'{"usage": {"input_tokens": 1e400, "output_tokens": "7"}}',
        b'{"usage": {"input_tokens": 99999999999999999999999}}',
        b'{"usage": [], "model": {}}',
        b'{"model": "\\u001b]0;pwned\\u0007"}',
        b'{"model": "' + b"x" * 1000 + b'"}',
        b"\xff\xfe",
        b"",
        b"x" * (llm_usage.LIMIT + 10),
    ],
)
def test_what_a_hostile_server_says_counts_nothing(body: bytes) -> None:
    """Nonsense from a server counts nothing and raises nothing."""
    meter = _meter("/v1/messages", stream=False)
    meter.feed(body)
    assert meter.finish() == {"provider": "anthropic"}


def test_a_long_line_may_come_byte_by_byte() -> None:
    """What each byte costs doesn't depend on how many came before it."""
    usage = b'data: {"usage": {"prompt_tokens": 7}, "pad": "%b"}' % (b"x" * (llm_usage.LIMIT // 2))
    found = llm_usage.meter("POST", "/v1/chat/completions", b"text/event-stream", b"")
    assert found is not None
    for byte in usage + b"\n\n":
        found.feed(bytes((byte,)))
    counts = found.finish()
    assert counts is not None
    assert counts["input_tokens"] == 7


def test_a_few_bytes_that_stand_for_gigabytes_are_given_up() -> None:
    """Decompression stops at the limit."""
    meter = _meter("/v1/messages", stream=False, coding=b"gzip")
    meter.feed(gzip.compress(b" " * (64 << 20)))
    meter.feed(gzip.compress(json.dumps(ANTHROPIC).encode()))
    assert meter.finish() == {"provider": "anthropic"}


def test_a_stream_packed_too_well_is_given_up() -> None:
    """Short lines need no buffer, but each takes time, so their total is limited, too."""
    meter = _meter("/v1/messages", stream=True, coding=b"gzip")
    event = b'data: {"usage": {"input_tokens": %d}}\n\n'
    meter.feed(gzip.compress(event % 7 * 100_000 + event % 8))
    assert meter.finish() == {"provider": "anthropic", "input_tokens": 7}


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        ("GET", "/v1/messages", b"application/json"),
        ("POST", "/v1/messages/count_tokens", b"application/json"),
        ("POST", "/upload", b"application/json"),
        ("POST", "/v1/messages", b"text/html"),
    ],
)
def test_other_responses_are_not_looked_at(method: str, target: str, kind: bytes) -> None:
    """Other responses are not looked at, and cost nothing."""
    assert llm_usage.meter(method, target, kind, b"") is None


@pytest.mark.parametrize("name", SHAPES)
def test_all_providers_are_counted_alike(name: str) -> None:
    """The sum for a model is everything that its vendor bills."""
    target, stream, body, _ = SHAPES[name]
    meter = _meter(target, stream)
    meter.feed(body)
    found = meter.finish()
    kinds = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    total = {"anthropic": 25 + 7 + 5 + 15, "openai": 20 + 10, "gemini": 59}
    assert sum(found.get(kind, 0) for kind in kinds) == total[found["provider"]]


def test_a_cache_larger_than_what_was_asked_makes_no_debt() -> None:
    """Counts are never negative, whatever a server says."""
    meter = _meter("/v1/responses", stream=False)
    counts = {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 5}}
    meter.feed(json.dumps({"usage": counts}).encode())
    assert meter.finish()["input_tokens"] == 0


@pytest.mark.parametrize(
    ("target", "asked", "found"),
    [
        ("/v1/messages", "", {"provider": "anthropic"}),
        ("/v1/messages", "claude-x", {"provider": "anthropic", "model": "claude-x"}),
        ("/v1beta/models/g-1:generateContent", "", {"provider": "gemini", "model": "g-1"}),
        ("/v1beta/models/%0a:generateContent?key=k", "", {"provider": "gemini", "model": "%0a"}),
    ],
)
def test_a_response_that_cannot_be_read_is_one_of_the_model_that_was_asked(
    target: str, asked: str, found: dict[str, str]
) -> None:
    """A response in Brotli, which servers may send unasked, counts for the requested model."""
    meter = llm_usage.meter("POST", target, b"application/json", b"br", asked)
    assert meter is not None
    meter.feed(json.dumps(ANTHROPIC).encode())
    assert meter.finish() == found


ASKED = json.dumps(
    {
        "messages": [{"content": 'say "model": "no"'}],
        "tools": [{"properties": {"model": {"type": "string"}}}],
        "model": "yes-1",
    }
).encode()


@given(cuts=st.lists(st.integers(0, len(ASKED)), max_size=6))
def test_the_model_that_is_asked_stands_in_the_request(cuts: list[int]) -> None:
    """The requested model is found anywhere in the request but in the text of messages."""
    asked = llm_usage.RequestedModel()
    for start, stop in pairwise(sorted({0, *cuts, len(ASKED)})):
        asked.feed(ASKED[start:stop])
    assert asked.name == "yes-1"


@given(st.binary(max_size=300))
def test_any_bytes_may_be_asked(data: bytes) -> None:
    """Any bytes name a printable model, or none."""
    asked = llm_usage.RequestedModel()
    asked.feed(b'{"model": "' + data)
    assert asked.name.isascii()
    assert asked.name.isprintable()


# --- estimates ---

UNCOUNTED_STREAM = _events(*({"choices": [{"delta": {"content": "a"}}]} for _ in range(7)))


def test_a_stream_without_counts_is_estimated_by_its_events() -> None:
    """Chat completions count only for clients that ask for it: each event brings a token or more."""
    meter = _meter("/v1/chat/completions", stream=True)
    meter.feed(UNCOUNTED_STREAM)
    assert meter.finish(400, len(UNCOUNTED_STREAM)) == {
        "provider": "openai",
        "estimated_tokens": 400 // llm_usage.BYTES_OF_TOKEN + 7,
    }


@pytest.mark.parametrize(
    ("coding", "body"), [(b"br", b"x" * 80), (b"", b"x" * (llm_usage.LIMIT + 4))]
)
def test_an_answer_that_cannot_be_read_is_estimated_by_its_length(
    coding: bytes, body: bytes
) -> None:
    """Neither a foreign coding nor a long body escapes a limit of tokens."""
    meter = _meter("/v1/messages", stream=False, coding=coding)
    meter.feed(body)
    found = meter.finish(40, len(body))
    assert found == {"provider": "anthropic", "estimated_tokens": 10 + len(body) // 4}


@given(end=st.integers(0, len(ANTHROPIC_STREAM)))
def test_a_client_that_leaves_early_saves_no_tokens(end: int) -> None:
    """What was generated for it is estimated, and what was counted isn't counted twice."""
    meter = _meter("/v1/messages", stream=True)
    meter.feed(ANTHROPIC_STREAM[:end])
    found = meter.finish(100, end, complete=False)
    assert found is not None
    events = ANTHROPIC_STREAM[:end].count(b"\ndata: ")
    input_tokens = found.get("input_tokens", 100 // 4)
    total = input_tokens + found.get("output_tokens", 0) + found.get("estimated_tokens", 0)
    assert total >= events + (25 if "input_tokens" in found else 0)
    assert found.get("estimated_tokens", 0) <= 25 + events + 1


@pytest.mark.parametrize(
    ("host", "target", "asks"),
    [
        ("api.anthropic.com", "/v1/%6dessages", True),
        ("api.anthropic.com", "/v1//messages", True),
        ("eu.api.openai.com", "/v2/anything", True),
        ("generativelanguage.googleapis.com", "/x", True),
        ("api.anthropic.com.evil.test", "/x", False),
        ("evil.test", "/api.openai.com", False),
        ("gateway.test", "/proxy/v1/messages/", True),
        ("gateway.test", "/v1/%6Dessages", True),
    ],
)
def test_a_path_spelt_otherwise_escapes_nothing(host: str, target: str, asks: bool) -> None:
    """Answers of the known hosts are looked into whatever the path is."""
    assert llm_usage.asks_model("POST", target, host) is asks


def test_an_answer_of_a_known_host_that_counts_nothing_is_no_models() -> None:
    """Counting the tokens of a prompt beforehand, say, consumes none."""
    for body, found in ((b'{"input_tokens": 9}', None), (json.dumps(ANTHROPIC).encode(), 25)):
        meter = llm_usage.meter(
            "POST", "/v1/messages/count_tokens", b"application/json", b"", "", "api.anthropic.com"
        )
        assert meter is not None
        meter.feed(body)
        counted = meter.finish(5000, len(body))
        assert (None if counted is None else counted["input_tokens"]) == found

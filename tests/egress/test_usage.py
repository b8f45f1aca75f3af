"""Tokens that a model's response says it took, in the shapes that vendors document."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress import usage


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
    "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 6, "totalTokenCount": 17},
}

SHAPES: dict[str, tuple[str, bool, bytes, dict[str, Any]]] = {
    "anthropic": ("/v1/messages", False, json.dumps(ANTHROPIC).encode(), {
        "provider": "anthropic", "model": "claude-test-1", "input_tokens": 25, "output_tokens": 15,
        "cache_read_tokens": 5, "cache_write_tokens": 7}),
    "anthropic stream": ("/v1/messages?beta=true", True, ANTHROPIC_STREAM, {
        "provider": "anthropic", "model": "claude-test-1", "input_tokens": 25, "output_tokens": 15,
        "cache_read_tokens": 5, "cache_write_tokens": 7}),
    "openai": ("/v1/chat/completions", False, json.dumps(OPENAI).encode(), {
        "provider": "openai", "model": "gpt-test", "input_tokens": 20, "output_tokens": 10,
        "cache_read_tokens": 4, "reasoning_tokens": 3}),
    "openai stream": ("/v1/chat/completions", True, OPENAI_STREAM, {
        "provider": "openai", "model": "gpt-test", "input_tokens": 20, "output_tokens": 10,
        "cache_read_tokens": 4, "reasoning_tokens": 3}),
    "openai responses": ("/v1/responses", True, RESPONSES_STREAM, {
        "provider": "openai", "model": "gpt-test", "input_tokens": 20, "output_tokens": 10,
        "cache_read_tokens": 4, "reasoning_tokens": 3}),
    "gemini": ("/v1beta/models/x:generateContent", False, json.dumps(GEMINI).encode(), {
        "provider": "gemini", "model": "gemini-test", "input_tokens": 11, "output_tokens": 6}),
    "gemini stream": ("/v1beta/models/x:streamGenerateContent?alt=sse", True,
        _events({"modelVersion": "gemini-test"}, GEMINI), {
        "provider": "gemini", "model": "gemini-test", "input_tokens": 11, "output_tokens": 6}),
    "gemini array": ("/v1beta/models/x:streamGenerateContent", False,
        json.dumps([{"modelVersion": "gemini-test"}, GEMINI]).encode(), {
        "provider": "gemini", "model": "gemini-test", "input_tokens": 11, "output_tokens": 6}),
}  # fmt: skip


def _meter(target: str, stream: bool, coding: bytes = b"") -> usage.Meter:
    kind = b"text/event-stream; charset=utf-8" if stream else b"application/json"
    found = usage.meter("POST", target, kind, coding)
    assert found is not None
    return found


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("coding", [b"", b"gzip", b"deflate"])
def test_each_shape_is_understood(name: str, coding: bytes) -> None:
    """Whole and byte by byte, plain and compressed."""
    target, stream, body, counted = SHAPES[name]
    sent = {b"": lambda x: x, b"gzip": gzip.compress, b"deflate": zlib.compress}[coding](body)
    for size in (len(sent), 1):
        meter = _meter(target, stream, coding)
        for at in range(0, len(sent), size):
            meter.feed(sent[at : at + size])
        assert meter.finish() == counted


@given(cuts=st.lists(st.integers(0, 900), max_size=6), end=st.integers(0, 2000))
def test_a_stream_that_is_cut_off_keeps_what_had_come(cuts: list[int], end: int) -> None:
    """However it came; never more than was said."""
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
        b"x" * (usage.LIMIT + 10),
    ],
)
def test_what_a_hostile_server_says_counts_nothing(body: bytes) -> None:
    """And raises nothing: it only watches."""
    meter = _meter("/v1/messages", stream=False)
    meter.feed(body)
    assert meter.finish() is None


def test_a_few_bytes_that_stand_for_gigabytes_are_given_up() -> None:
    """Decompressed no further than the bound."""
    meter = _meter("/v1/messages", stream=False, coding=b"gzip")
    meter.feed(gzip.compress(b" " * (64 << 20)))
    meter.feed(gzip.compress(json.dumps(ANTHROPIC).encode()))
    assert meter.finish() is None


def test_a_stream_packed_too_well_is_given_up() -> None:
    """Its lines are short, so nothing is kept of them, but each takes time."""
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
    """They cost nothing."""
    assert usage.meter(method, target, kind, b"") is None


def test_a_coding_that_is_unknown_here_counts_nothing() -> None:
    """Brotli, for one; the proxy asks for others where the client takes them."""
    meter = _meter("/v1/messages", stream=False, coding=b"br")
    meter.feed(json.dumps(ANTHROPIC).encode())
    assert meter.finish() is None

"""Spans of what the record has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moat.egress.traffic.schema import Row
from moat.runs.states import State
from moat.runs.store import Run
from moat.spec import AgentSetup, RunId, RunSpec
from moat.telemetry.spans import RunSpans, Span, resource

ID = RunId("0123456789ab")
COLUMNS: dict[str, Any] = {
    "id": 7,
    "kind": "request",
    "time": 100.0,
    "verdict": "allowed",
    "status": 200,
    "method": "POST",
    "scheme": "https",
    "host": "api.anthropic.com",
    "port": 443,
    "address": "203.0.113.9",
    "protocol": "HTTP/1.1",
    "rule": "allow api.anthropic.com",
    "error": "",
    "credential": "claude",
    **dict.fromkeys(("dns", "connect", "tls", "first_byte"), -1.0),
    "total": 2.5,
    "sent": 10,
    "received": 20,
    "path": "/v1/messages",
    "usage": None,
}


def row(**columns: Any) -> Row:
    return Row(**(COLUMNS | columns))


def of(**columns: Any) -> list[Span]:
    return list(RunSpans(ID).of_row(row(**columns)))


def run(**columns: Any) -> Run:
    known = dict.fromkeys(Run._fields) | {
        "id": ID,
        "state": State.STOPPED,
        "exit_code": 0,
        "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z",
        "stopped_at": "2026-01-01T00:00:03.000Z",
    }
    return Run(**(known | columns))  # type: ignore[arg-type]


def test_a_request_is_a_span_of_a_client() -> None:
    """With the attributes of the conventions for HTTP, and Moat's own."""
    [span] = of()
    assert (span.name, span.kind, span.start, span.end) == ("POST", "client", 100.0, 102.5)
    assert span.error is None
    assert span.attributes == {
        "http.request.method": "POST",
        "url.full": "https://api.anthropic.com/v1/messages",
        "url.scheme": "https",
        "http.response.status_code": 200,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.request.body.size": 10,
        "http.response.body.size": 20,
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "network.peer.address": "203.0.113.9",
        "moat.verdict": "allowed",
        "moat.rule": "allow api.anthropic.com",
        "moat.credential": "claude",
    }


def test_a_call_of_a_model_is_a_span_around_its_request() -> None:
    """By the conventions for GenAI: what caches gave and took is part of the input."""
    usage = {"provider": "gemini", "model": "m-1", "input_tokens": 1, "output_tokens": 5}
    usage |= {"cache_read_tokens": 20, "cache_write_tokens": 300}
    call, request = of(usage=json.dumps(usage))
    assert (call.name, call.kind, request.parent) == ("chat m-1", "client", call.id)
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "m-1",
        "gen_ai.response.model": "m-1",
        "gen_ai.usage.input_tokens": 321,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.cache_creation.input_tokens": 300,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "api.anthropic.com",
    }


def test_an_answer_without_counts_has_none() -> None:
    """It isn't said that they are 0."""
    call, _ = of(usage='{"provider": "mine"}')
    assert call.name == "chat"
    assert not [name for name in call.attributes if "usage" in name or "model" in name]
    assert call.attributes["gen_ai.provider.name"] == "mine"


@pytest.mark.parametrize(
    ("columns", "error", "kind"),
    [
        ({"status": 503}, "status 503", "503"),
        ({"verdict": "denied", "status": 403, "rule": "deny *"}, "deny *", "403"),
        ({"verdict": "failed", "status": 0, "error": "no route"}, "no route", "failed"),
    ],
)
def test_failures_are_errors(columns: dict[str, Any], error: str, kind: str) -> None:
    """Of servers, of the policy and of the network."""
    [span] = of(**(COLUMNS | {"credential": "", "rule": ""} | columns))
    assert (span.error, span.attributes["error.type"]) == (error, kind)


def test_the_credential_is_no_reason() -> None:
    """A server that fails has failed whoever has asked it."""
    [span] = of(status=503, credential="claude")
    assert (span.error, span.attributes["moat.credential"]) == ("status 503", "claude")


def test_a_method_that_is_made_up_names_no_span() -> None:
    """It is in the attributes, where it costs a backend nothing."""
    [span] = of(method="X" * 20)
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "X" * 20)


def test_a_tunnel_is_no_request() -> None:
    """It has bytes, and no method."""
    [span] = of(kind="tunnel", scheme="tcp", method="", status=0, protocol="", total=-1.0)
    assert (span.name, span.start, span.end) == ("tunnel", 100.0, 100.0)
    assert (span.attributes["moat.sent"], span.attributes["network.transport"]) == (10, "tcp")
    assert "http.request.method" not in span.attributes


def test_questions_for_names_are_no_spans() -> None:
    """A program asks several for one request, which has the name."""
    assert of(kind="dns") == []


def test_the_run_is_the_root() -> None:
    """With its exit code, and the time from its start to its end."""
    spans = RunSpans(ID)
    root = spans.run(run())
    assert (root.parent, root.end - root.start, root.error) == (0, 2.0, None)
    assert root.attributes == {"moat.run.state": "stopped", "process.exit.code": 0}
    [request] = spans.of_row(row())
    assert (request.parent, request.trace) == (root.id, root.trace)


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"exit_code": 3}, "stopped, exit code 3"),
        ({"exit_code": None, "state": State.FAILED, "error": "no bwrap"}, "no bwrap"),
    ],
)
def test_a_run_that_failed_is_an_error(columns: dict[str, Any], error: str) -> None:
    """One that never began has no length."""
    root = RunSpans(ID).run(run(**columns, started_at=None, stopped_at=None))
    assert (root.error, root.start) == (error, root.end)


def test_a_further_command_is_a_span() -> None:
    """From its two events."""
    started = {"session": "exec-1", "time": "2026-01-01T00:00:00Z"}
    ended = {"session": "exec-1", "time": "2026-01-01T00:00:02Z", "exit_code": 0, "error": None}
    spans = RunSpans(ID)
    done = spans.command(started, ended)
    assert (done.name, done.end - done.start, done.error) == ("exec", 2.0, None)
    assert spans.command(started, ended | {"exit_code": 1}).error == "exit code 1"
    gone = spans.command(started, ended | {"exit_code": None, "error": "no such program"})
    assert (gone.error, "process.exit.code" in gone.attributes) == ("no such program", False)


def test_ids_are_the_same_each_time() -> None:
    """And of another run others, so that what is sent twice can be told."""
    assert of() == of()
    [here], [there] = of(), list(RunSpans("ba9876543210").of_row(row()))
    assert here.id != there.id
    assert here.trace != there.trace
    assert 0 < here.trace < 1 << 128


def test_a_long_url_is_cut() -> None:
    """A run can make it as long as it likes."""
    [span] = of(path="/" + "x" * 8000)
    assert len(str(span.attributes["url.full"])) == 2048


def test_the_resource_names_the_run() -> None:
    """And its agent, if it has one; of its command nothing, which may hold a secret."""
    spec = RunSpec(
        id=ID,
        name="fix",
        command=("x",),
        workspace="/",
        created_at="",
        agent=AgentSetup(name="claude"),
    )
    assert resource(spec) == {
        "service.name": "moat",
        "moat.run.id": ID,
        "moat.run.name": "fix",
        "moat.run.engine": "bubblewrap",
        "moat.run.agent": "claude",
    }

"""Spans over OTLP, to a receiver that decodes them with the protocol's own definition."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import closing

import pytest
from tests.telemetry.collector import attributes, collecting

from moat.errors import MoatError, UsageError
from moat.telemetry import otlp
from moat.telemetry.spans import Span

SPANS = [
    Span(1 << 100 | 5, 7, 0, "run", "internal", 1.5, 2.5, {"a": 1, "b": "x", "c": True}),
    Span(1 << 100 | 5, 8, 7, "GET", "client", 1.75, 2.0, {}, "it failed"),
]


def test_spans_arrive_as_they_are() -> None:
    """With ids, times, attributes, errors, and the headers that the user has asked for."""
    with collecting() as collector:
        sender = otlp.Sender(collector.url, {"x-team": "blue"}, {"service.name": "moat"})
        assert sender.send(SPANS)
        sender.close()
    run, request = collector.spans
    assert (int.from_bytes(run.trace_id), int.from_bytes(run.span_id)) == (1 << 100 | 5, 7)
    assert (run.parent_span_id, int.from_bytes(request.parent_span_id)) == (b"", 7)
    assert (run.start_time_unix_nano, run.end_time_unix_nano) == (1_500_000_000, 2_500_000_000)
    assert attributes(run) == {"a": 1, "b": "x", "c": True}
    assert (request.status.code, request.status.message) == (2, "it failed")
    assert (run.kind, request.kind) == (1, 3)
    assert collector.resources[0]["service.name"] == "moat"
    assert collector.headers[0]["x-team"] == "blue"
    assert collector.headers[0][":path"] == "/v1/traces"


def test_a_collector_that_refuses_has_not_taken_them() -> None:
    """And nothing is raised."""
    with collecting() as collector:
        collector.status = 400
        assert not otlp.Sender(collector.url, {}, {}).send(SPANS)


def test_a_collector_that_is_not_there_has_not_taken_them() -> None:
    """Nor one behind a port at which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    assert not otlp.Sender(f"http://127.0.0.1:{port}", {}, {}, timeout=0.5).send(SPANS)


def test_a_collector_that_hangs_is_given_up() -> None:
    """Within the time for one request."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        assert not otlp.Sender(f"http://127.0.0.1:{port}", {}, {}, timeout=0.5).send(SPANS)


def test_without_the_sdk_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, which most users don't install."""
    otlp.check_installed()
    names = ("opentelemetry", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
    names += ("google.protobuf.json_format", "opentelemetry.exporter.otlp.proto.http")
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    for use in (
        otlp.check_installed,
        lambda: otlp.Sender("http://localhost", {}, {}),
        lambda: otlp.as_json(SPANS, {}),
    ):
        with pytest.raises(MoatError, match="SDK is not installed"):
            use()


def test_json_is_that_of_the_protocol() -> None:
    """Ids in hexadecimal, and numbers for kinds: what collectors read from files."""
    value = json.loads(otlp.as_json(SPANS, {"service.name": "moat"}))
    [scope] = value["resourceSpans"][0]["scopeSpans"]
    run, request = scope["spans"]
    assert run["traceId"] == f"{1 << 100 | 5:032x}"
    assert (request["spanId"], request["parentSpanId"]) == (f"{8:016x}", f"{7:016x}")
    assert (request["kind"], request["status"]["code"]) == (3, 2)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://a.test/otlp", "https://a.test/otlp/v1/traces"),
        ("https://a.test/v1/traces", "https://a.test/v1/traces"),
    ],
)
def test_the_url_of_a_collector_stands_for_that_of_spans(endpoint: str, url: str) -> None:
    """As OTEL_EXPORTER_OTLP_ENDPOINT does."""
    assert otlp.traces_url(endpoint) == url


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "localhost:4318",
        "ftp://a.test",
        "http://",
        "http://me:pw@a.test",
        "http://[",
        "http://a:x",
    ],
)
def test_what_is_no_url_is_refused(endpoint: str) -> None:
    """Before anything is sent; a password in it would be in arguments and logs."""
    with pytest.raises(UsageError):
        otlp.traces_url(endpoint)

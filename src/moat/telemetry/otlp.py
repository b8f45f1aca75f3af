"""Spans for OTLP/HTTP, by OpenTelemetry's own SDK."""

from __future__ import annotations

import base64
import json
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

from moat.errors import MoatError, UsageError
from moat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from moat.telemetry.spans import Attributes, Span

TIMEOUT_S: Final = 10.0
"""The time for one request, with all its attempts."""
BATCH: Final = 512
"""Spans of one request."""
_PATH: Final = "/v1/traces"
_IDS: Final = frozenset(("traceId", "spanId", "parentSpanId"))


def traces_url(endpoint: str) -> str:
    """Return the URL for spans at a collector, whose own URL may stand for it. Raises `UsageError`."""
    try:
        url = urlsplit(endpoint)
        valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{endpoint!r} is no URL of a collector", "Such as http://localhost:4318")
    url = urlsplit(endpoint)
    if url.username is not None:
        raise UsageError("the endpoint has a password in it", "Give it as a header")
    path = url.path.rstrip("/")
    return urlunsplit(url._replace(path=path if path.endswith(_PATH) else path + _PATH))


def check_installed() -> None:
    """Raise `MoatError` where the SDK isn't installed, without loading it."""
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec(
            "opentelemetry.sdk"
        )
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise _not_installed()


class Sender:
    """Sends spans to a collector. Raises `MoatError` where the SDK isn't installed."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        resource: Attributes,
        timeout: float = TIMEOUT_S,
    ) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
        except ImportError as exc:
            raise _not_installed() from exc
        self._resource = resource
        self._exporter = OTLPSpanExporter(
            traces_url(endpoint), headers=dict(headers) or None, timeout=timeout
        )
        # It logs each attempt; whether one has succeeded is said once, by the caller.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans, and return whether the collector has taken them."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        made = _made(spans, self._resource)
        try:
            return self._exporter.export(made) is SpanExportResult.SUCCESS
        except OSError:  # what requests raises: a connection that broke, a proxy that is none
            return False

    def close(self) -> None:
        self._exporter.shutdown()


def as_json(spans: Sequence[Span], resource: Attributes) -> str:
    """Return a request of OTLP as JSON, on one line. Raises `MoatError` as `Sender` does."""
    try:
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import (  # noqa: PLC0415
            encode_spans,
        )
    except ImportError as exc:
        raise _not_installed() from exc
    message = encode_spans(_made(spans, resource))
    return json.dumps(_with_hex(MessageToDict(message, use_integers_for_enums=True)))


def _made(spans: Sequence[Span], resource: Attributes) -> list[ReadableSpan]:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415

    shared = Resource(resource)
    scope = InstrumentationScope("moat", __version__)
    kinds = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}

    def context(trace: int, span: int) -> SpanContext:
        return SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    return [
        ReadableSpan(
            each.name,
            context=context(each.trace, each.id),
            parent=context(each.trace, each.parent) if each.parent else None,
            resource=shared,
            attributes=each.attributes,
            kind=kinds[each.kind],
            instrumentation_scope=scope,
            status=Status() if each.error is None else Status(StatusCode.ERROR, each.error),
            start_time=int(each.start * 1e9),
            end_time=int(each.end * 1e9),
        )
        for each in spans
    ]


def _with_hex(value: Any) -> Any:
    """Return a message with ids in hexadecimal, as OTLP has them in JSON, and not in base64."""
    if isinstance(value, list):
        return [_with_hex(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each).hex() if name in _IDS else _with_hex(each)
            for name, each in cast("dict[str, Any]", value).items()
        }
    return value


def _not_installed() -> MoatError:
    return MoatError(
        "OpenTelemetry's SDK is not installed", "Install it beside moat: pip install 'moat[otlp]'"
    )

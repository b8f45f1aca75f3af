"""Recording more of an exchange than its entry: headers, the beginning of bodies, tokens. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.traffic import llm_usage
from moat.egress.traffic.schema import BODY_LIMIT

if TYPE_CHECKING:
    from moat.egress.http.messages import Payload, RequestHead, ResponseHead
    from moat.egress.traffic.entry import TrafficEntry
    from moat.spec.network import Capture


class Observer:
    """Follows one exchange without holding it up, and adds to its entry; what it buffers is bounded."""

    def __init__(self, entry: TrafficEntry, request: RequestHead, capture: Capture) -> None:
        self._entry = entry
        self._bodies = capture == "bodies"
        self._headers = capture != "none"
        self._request_body = bytearray()
        self._response_body = bytearray()
        self._model = llm_usage.RequestedModel() if entry.asks_model else None
        self._meter: llm_usage.Meter | None = None
        if self._headers:
            entry.request_fields = list(request.fields)

    def request(self, payload: Payload) -> None:
        if self._bodies:
            _append(self._request_body, payload)
        if self._model is not None:
            for piece in payload:
                self._model.feed(bytes(piece))

    def response_head(self, head: ResponseHead) -> None:
        if self._headers:
            self._entry.response_fields = list(head.fields)
        entry = self._entry
        if head.status == 200 and self._model is not None:
            kind, coding = _field(head, b"content-type"), _field(head, b"content-encoding")
            self._meter = llm_usage.meter(
                entry.method, entry.path, kind, coding, self._model.name, entry.host
            )

    def response(self, payload: Payload) -> None:
        if self._bodies:
            _append(self._response_body, payload)
        if self._meter is not None:
            for piece in payload:
                self._meter.feed(bytes(piece))

    def finish(self) -> None:
        entry = self._entry
        if self._model is not None and entry.address and entry.first_byte < 0:
            # The server has the request, and may charge for it even if nobody hears its answer.
            self._meter = llm_usage.meter(
                entry.method, entry.path, b"application/json", b"", self._model.name, entry.host
            )
        if self._meter is not None:
            complete = entry.verdict == "allowed"
            entry.usage = self._meter.finish(entry.sent, entry.received, complete=complete)
        if self._bodies:
            self._entry.request_body = bytes(self._request_body)
            self._entry.response_body = bytes(self._response_body)


def _append(body: bytearray, payload: Payload) -> None:
    for piece in payload:
        body += piece[: BODY_LIMIT - len(body)]


def _field(head: ResponseHead, name: bytes) -> bytes:
    return next((value for each, value in head.fields if each.lower() == name), b"")

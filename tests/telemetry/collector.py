"""A collector that takes spans by OTLP over HTTP.

It is no real collector: that is a program of Go, which neither apt nor PyPI nor npm has. It decodes what
it gets with OpenTelemetry's own definition of the protocol (opentelemetry-proto).
"""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector:
    """What was received, and what the answer is."""

    def __init__(self) -> None:
        self.status = 200
        self.spans: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, Any]] = []
        self.url = ""
        self._changed = threading.Condition()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self._changed:
            self.headers.append(headers)
            if self.status == 200:
                request = ExportTraceServiceRequest.FromString(body)
                for each in request.resource_spans:
                    self.resources.append(attributes(each.resource))
                    for scope in each.scope_spans:
                        self.spans += scope.spans
            self._changed.notify_all()
            return self.status

    def wait_for(self, name: str, timeout: float = 120.0) -> Any:
        """Return the first span of a name, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.named(name), timeout), self.names()
            return self.named(name)[0]

    def named(self, name: str) -> list[Any]:
        return [each for each in self.spans if each.name == name]

    def names(self) -> list[str]:
        return [each.name for each in self.spans]


def attributes(part: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in part.attributes
    }


@contextmanager
def collecting() -> Iterator[Collector]:
    """Serve a collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            names = {name.lower(): value for name, value in self.headers.items()}
            status = collector.take(names | {":path": self.path}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

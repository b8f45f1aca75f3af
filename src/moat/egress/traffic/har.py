"""Traffic as an HTTP archive (HAR 1.2), which browsers' developer tools open. Pure.

The format is http://www.softwareishard.com/blog/har-12-spec/, in which an unknown number is -1.
"""

from __future__ import annotations

import base64
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from moat.egress.traffic.schema import timestamp
from moat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.egress.traffic.schema import Captured, Row


def document(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the archive, piece by piece."""
    creator = json.dumps({"name": "moat", "version": __version__})
    yield f'{{"log": {{"version": "1.2", "creator": {creator}, "entries": ['
    separator = "\n"
    for each in entries:
        yield separator + json.dumps(each)
        separator = ",\n"
    yield "\n]}}\n"


def entry(row: Row, captured: Captured) -> dict[str, Any]:
    timings = _timings(row)
    made: dict[str, Any] = {
        "startedDateTime": timestamp(row.time),
        # The sum of all timings but `ssl`, which is part of `connect`.
        "time": sum(ms for name, ms in timings.items() if ms >= 0 and name != "ssl"),
        "request": _request(row, captured),
        "response": _response(row, captured),
        "cache": {},
        "timings": timings,
    }
    if row.address:
        made["serverIPAddress"] = row.address
    if row.verdict != "allowed":
        made["comment"] = f"{row.verdict}: {row.why.removeprefix('denied: ')}"
    return made


def _timings(row: Row) -> dict[str, float]:
    """Return the duration of each step in milliseconds; a row counts them from the beginning."""
    preparing = sum(max(0.0, each) for each in (row.dns, row.connect, row.tls))
    total = max(row.total, row.first_byte, preparing)
    first_byte = row.first_byte if row.first_byte >= 0 else total
    connecting = row.connect >= 0 or row.tls >= 0
    return {
        "blocked": -1,
        "dns": _ms(row.dns),
        "connect": _ms(max(0.0, row.connect) + max(0.0, row.tls)) if connecting else -1,
        "ssl": _ms(row.tls),
        "send": 0,
        "wait": _ms(max(0.0, first_byte - preparing)),
        "receive": _ms(max(0.0, total - max(first_byte, preparing))),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3) if seconds >= 0 else -1


def _request(row: Row, captured: Captured) -> dict[str, Any]:
    _, _, query = row.path.partition("?")
    made: dict[str, Any] = {
        "method": row.method,
        "url": row.url,
        "httpVersion": _version(row),
        "cookies": [],
        "headers": _headers(captured.request_fields),
        "queryString": _parameters(query) if query else [],
        "headersSize": -1,
        "bodySize": row.sent,
    }
    if captured.request_body is not None:
        made["postData"] = _post_data(captured.request_body, captured.request_fields)
    return made


def _parameters(query: str) -> list[dict[str, str]]:
    parsed = parse_qsl(query, keep_blank_values=True, errors="replace")
    return [{"name": name, "value": value} for name, value in parsed]


def _post_data(body: bytes, fields: list[tuple[str, str]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "mimeType": _value(fields, "content-type"),
        "params": [],
        "text": body.decode(errors="replace"),
    }
    if not body:
        made["comment"] = _unreadable(fields)
    return made


def _response(row: Row, captured: Captured) -> dict[str, Any]:
    sent = captured.response_fields
    return {
        "status": row.status,
        "statusText": _phrase(row.status),
        "httpVersion": _version(row),
        "cookies": [],
        "headers": _headers(sent),
        "content": {
            **_sizes(row, captured),
            "mimeType": _value(sent, "content-type") or "application/octet-stream",
            **_content(captured.response_body, sent),
        },
        "redirectURL": _value(sent, "location"),
        "headersSize": -1,
        "bodySize": row.received,
    }


def _sizes(row: Row, captured: Captured) -> dict[str, int]:
    """Return the decoded size of a body, and by how much compression made it shorter."""
    coded = _value(captured.response_fields, "content-encoding") not in {"", "identity"}
    if not coded:
        return {"size": row.received}
    if captured.response_size is None:
        return {"size": -1}
    return {
        "size": captured.response_size,
        "compression": captured.response_size - row.received,
    }


def _unreadable(sent: list[tuple[str, str]]) -> str:
    coding = _value(sent, "content-encoding")
    return f"not recorded: it can't be decoded (Content-Encoding: {coding})"


def _content(body: bytes | None, sent: list[tuple[str, str]]) -> dict[str, str]:
    if body is None:
        return {}
    if not body:
        return {"comment": _unreadable(sent)}
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def _version(row: Row) -> str:
    return row.protocol if row.protocol.startswith("HTTP/") else "HTTP/1.1"


def _headers(sent: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sent]


def _value(sent: list[tuple[str, str]], name: str) -> str:
    return next((value for each, value in sent if each.lower() == name), "")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

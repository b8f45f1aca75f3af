"""Responses of the proxy's own, where a request is denied or can't be carried out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http.messages import ResponseHead
from moat.egress.policy.decision import denial_header

if TYPE_CHECKING:
    from moat.egress.policy.decision import Decision


def failure(status: int, why: str) -> tuple[ResponseHead, bytes]:
    """Return the head and the body that say why a request failed, in one line."""
    return _response(status, b"text/plain; charset=utf-8", f"moat: {why}\n".encode())


def denial(decision: Decision, status: int) -> tuple[ResponseHead, bytes]:
    """Return the head and the body that say why a request is denied, and by which rule."""
    if decision.answer:
        head, body = _response(status, b"application/json", decision.answer)
    else:
        line = f"{decision.reason}\n".encode()
        head, body = _response(status, b"text/plain; charset=utf-8", line)
    head.fields.append((b"X-Moat-Denied", denial_header(decision)))
    return head, body


def _response(status: int, kind: bytes, body: bytes) -> tuple[ResponseHead, bytes]:
    return ResponseHead(status, [(b"Content-Type", kind)], len(body)), body

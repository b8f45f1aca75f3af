"""The writer of HTTP/1.1 heads."""

from __future__ import annotations

import h11
import pytest

from moat.egress.http.h1 import writer
from moat.egress.http.messages import CHUNKED, NO_BODY, RequestHead, ResponseHead


def _request(method: str, framing: int) -> RequestHead:
    head = RequestHead(method, "/", [(b"X-One", b"1")])
    head.framing = framing
    return head


@pytest.mark.parametrize(
    ("method", "framing", "written"),
    [
        ("GET", NO_BODY, b""),
        ("POST", NO_BODY, b"Content-Length: 0\r\n"),
        ("POST", 7, b"Content-Length: 7\r\n"),
        ("POST", CHUNKED, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_a_request_has_one_framing(method: str, framing: int, written: bytes) -> None:
    """A body is announced once, and so is a missing one where a body is usual."""
    head = b"%b / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n%b\r\n" % (method.encode(), written)
    assert writer.request_bytes(_request(method, framing), "/", b"a") == head


def test_what_concerns_one_connection_is_written_anew() -> None:
    """Fields for the next hop, an expectation and an upgrade follow the other fields."""
    head = _request("GET", NO_BODY)
    head.continues, head.upgrade = True, b"websocket"
    own = [(b"Proxy-Authorization", b"Basic eA==")]

    assert writer.request_bytes(head, "http://a/", b"a", own) == (
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nProxy-Authorization: Basic eA==\r\n"
        b"Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


def test_an_upgrade_is_answered() -> None:
    """The answer to an upgrade names the protocol and announces no body."""
    head = ResponseHead(101, [])
    head.upgrade = b"websocket"

    assert writer.response_bytes(head, NO_BODY, close=True) == (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


def test_the_servers_own_reason_is_kept() -> None:
    """A reason phrase is forwarded; a missing one is replaced if there is a standard one."""
    head = ResponseHead(200, [])
    assert writer.response_bytes(head, NO_BODY, close=False).startswith(b"HTTP/1.1 200 OK\r\n")
    head.reason = b"Fine"
    assert writer.response_bytes(head, NO_BODY, close=False).startswith(b"HTTP/1.1 200 Fine\r\n")
    head = ResponseHead(299, [])
    assert writer.response_bytes(head, NO_BODY, close=False).startswith(b"HTTP/1.1 299 \r\n")


def test_a_last_answer_is_a_whole_response() -> None:
    """h11 reads its line of text and the end of the connection."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(writer.last_answer(403, "moat: denied: ü", [(b"X-One", b"1")]))

    head, body, end = client.next_event(), client.next_event(), client.next_event()
    assert isinstance(head, h11.Response)
    assert head.status_code == 403
    assert (b"x-one", b"1") in list(head.headers)
    assert isinstance(body, h11.Data)
    assert bytes(body.data).decode() == "moat: denied: ü\n"
    assert isinstance(end, h11.EndOfMessage)
    assert client.their_state is h11.MUST_CLOSE


def test_trailers_end_a_chunked_body() -> None:
    """The last chunk is written with the trailers, or without any."""
    assert writer.trailer_bytes([]) == b"0\r\n\r\n"
    assert writer.trailer_bytes([(b"X-Sum", b"1")]) == b"0\r\nX-Sum: 1\r\n\r\n"

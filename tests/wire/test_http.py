"""The little of HTTP that the run's socket speaks."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.wire import http


def head_of(message: bytes) -> bytes:
    head, _, _ = message.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n"


def test_a_request_comes_out_as_it_went_in() -> None:
    """Method, path, query and the length of the body."""
    message = http.encode_request("POST", "/v1/stop?a=1%20b", b'{"x": 1}')
    request = http.decode_request(head_of(message))
    assert (request.method, request.path, request.query) == ("POST", "/v1/stop", {"a": "1 b"})
    assert request.content_length == len(b'{"x": 1}')


def test_a_response_comes_out_as_it_went_in() -> None:
    """Status and length."""
    response = http.decode_response(head_of(http.encode_response(409, b"no")))
    assert (response.status, response.content_length) == (409, 2)


def test_an_upgrade_names_its_protocol() -> None:
    """Both directions, as RFC 9110 7.8 has it."""
    request = http.decode_request(http.encode_request("GET", "/v1/attach", upgrade="moat-attach/1"))
    assert request.headers["upgrade"] == "moat-attach/1"
    answer = http.decode_response(http.encode_upgrade("moat-attach/1", 3))
    assert (answer.status, answer.level) == (101, 3)
    assert http.decode_response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").level == 0


@pytest.mark.parametrize(
    "line", ["", " / HTTP/1.1", "GET /", "GET  / HTTP/1.1", "GET / HTTP/2.0", "GET //[ HTTP/1.1"]
)
def test_odd_request_lines_are_refused(line: str) -> None:
    """A method, a target that is a URL, and a version that we speak, one space between them."""
    with pytest.raises(http.HTTPError, match="request line"):
        http.decode_request(line.encode() + b"\r\n\r\n")


@pytest.mark.parametrize("head", ["", "HTTP/1.1", "HTTP/1.1 OK", "HTTP/1.1 200 OK\r\nno header"])
def test_odd_responses_are_refused(head: str) -> None:
    """A status is a number, and a header has a colon."""
    with pytest.raises(http.HTTPError):
        http.decode_response(head.encode() + b"\r\n\r\n")


def test_names_of_headers_have_no_case() -> None:
    """RFC 9110 5.1; a user's curl writes them as it likes."""
    head = b"GET / HTTP/1.1\r\nX-Thing:  a: b \r\nUPGRADE: x\r\n\r\n"
    assert http.decode_request(head).headers == {"x-thing": "a: b", "upgrade": "x"}


@pytest.mark.parametrize("length", ["-1", "+5", "5, 5", "0x10", "٣", "", "99999999999", "1" * 5000])
def test_odd_lengths_are_refused(length: str) -> None:
    """A body's length is a plain number, and not a huge one."""
    head = f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode("latin-1", "replace")
    with pytest.raises(http.HTTPError):
        _ = http.decode_request(head).content_length


# Nonsense that looks like a message gets further into the parser than bytes of all kinds.
scraps = (
    *(b"GET", b" ", b"/", b"//[", b"?a=%", b"HTTP/1.1", b"200", b"\r\n", b"\n", b":"),
    *(b"Content-Length:", b"1" * 20, b"\x00", b"\xff"),
)
almost_heads = st.lists(st.sampled_from(scraps), max_size=20).map(b"".join)


@given(head=st.binary(max_size=300) | almost_heads)
def test_any_bytes_are_a_message_or_an_http_error(head: bytes) -> None:
    """Nobody who can reach the socket can make the parser raise anything else."""
    for decode in (http.decode_request, http.decode_response):
        with contextlib.suppress(http.HTTPError):
            assert decode(head).content_length <= http.MAX_BODY


@given(body=st.binary(max_size=50), status=st.sampled_from([200, 400, 404, 409, 500, 599]))
def test_a_body_is_as_long_as_its_head_says(body: bytes, status: int) -> None:
    """Both ways, whatever is in it."""
    for message, decode in (
        (http.encode_request("POST", "/", body), http.decode_request),
        (http.encode_response(status, body), http.decode_response),
    ):
        _, _, rest = message.partition(b"\r\n\r\n")
        assert rest == body
        assert decode(head_of(message)).content_length == len(body)

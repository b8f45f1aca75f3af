"""The little of HTTP that the run's socket speaks."""

from __future__ import annotations

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
    assert http.decode_response(http.encode_upgrade("moat-attach/1")).status == 101


@pytest.mark.parametrize("length", ["-1", "+5", "5, 5", "0x10", "٣", "99999999999"])
def test_odd_lengths_are_refused(length: str) -> None:
    """A body's length is a plain number, and not a huge one."""
    head = f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode("latin-1", "replace")
    with pytest.raises(http.HTTPError):
        _ = http.decode_request(head).content_length


@given(head=st.binary(max_size=300))
def test_any_bytes_are_a_request_or_an_http_error(head: bytes) -> None:
    """Nobody who can reach the socket can make the parser raise anything else."""
    try:
        request = http.decode_request(head)
        _ = request.content_length
    except http.HTTPError:
        return
    assert request.method

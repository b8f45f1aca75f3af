"""Entries for requests that can't be understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http.bad_request import refusal, request_line
from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import BadMessageError
from moat.egress.traffic.schema import Row, row_of

HERE = Destination("https", "a.test", 443)


def kept(data: bytes, destination: Destination | None = HERE) -> Row:
    """Return the row for a request that began with `data`."""
    problem = BadMessageError("not an HTTP/1.1 request")
    problem.line = request_line(data)
    return Row(*row_of(refusal(0.0, destination, problem)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "method", "url"),
    [
        (b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a", "GET", r"https://a.test/caf\xc3\xa9"),
        (b"GET /a b HTTP/1.1\r\n", "GET", "https://a.test/a b"),
        (b"\r\nget /a", "get", "https://a.test/a"),
        (b"GET /\x1b]52;c;x\x07 HTTP/1.1\r\n", "GET", r"https://a.test/\x1b]52;c;x\x07"),
        (b"GET /a?token=s3cr\xff&b=c HTTP/1.1\r\n", "GET", "https://a.test/a?token=***&b=c"),
        (b"GET https://u:p@b.test:8/\xff HTTP/1.1\r\n", "GET", r"https://a.test/\xff"),
        (b"GET /" + b"x" * 9000 + b"\xff", "GET", "https://a.test/" + "x" * 2047 + "..."),
        (b'{"password": "s3cr3t"}', "", "https://a.test"),
        (b"Authorization: Bearer s3cr3t", "", "https://a.test"),
        (b"\x16\x03\x01\x00", "", "https://a.test"),
        (b"", "", "https://a.test"),
    ],
)
def test_a_first_line_is_kept_as_it_can_be_shown(data: bytes, method: str, url: str) -> None:
    """A request line is recorded bounded, in ASCII and redacted; anything else isn't recorded."""
    row = kept(data)
    assert (row.method, row.url) == (method, url)
    assert (row.verdict, row.error) == ("denied", "malformed request: not an HTTP/1.1 request")


def test_on_the_proxys_own_port_it_names_the_server() -> None:
    """The URL is the only thing that names the server, and its password is left out."""
    row = kept(b"GET http://u:p@B.test:8/\xff?x HTTP/1.1\r\n", None)
    assert (row.scheme, row.host, row.path) == ("http", "b.test", r"/\xff?x")
    assert kept(b"GET http://b.test?x\xff HTTP/1.1\r\n", None).path == r"?x\xff"
    assert kept(b"GET http://b.test \xff HTTP/1.1\r\n", None).host == r"b.test \xff"


@given(st.binary(max_size=100), st.sampled_from([b"", b"GET /", b"POST http://", b"HEAD *"]))
def test_any_bytes_become_a_row_that_can_be_printed(data: bytes, start: bytes) -> None:
    """Any bytes make an entry in printable ASCII, and none make an exception."""
    for destination in (HERE, None):
        row = kept(start + data, destination)
        text = f"{row.method}{row.url}"
        assert text.isascii()
        assert text.isprintable()

"""Heads of HTTP/2, converted to and from the messages that both versions share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http.h2 import heads
from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import CHUNKED, NO_BODY, BadMessageError, RequestHead, ResponseHead

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields

SERVER = Destination("https", "a.test", 8443)
ASKED: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"a.test"),
    (b":path", b"/x?y"),
]


def request(*fields: tuple[bytes, bytes], ends: bool = True) -> RequestHead:
    return heads.request_head([*ASKED, *fields], ends=ends)


def instead(name: bytes, value: bytes | None) -> Fields:
    """Return the request with another value of a pseudo-header field, or without that field."""
    rest = [field for field in ASKED if field[0] != name]
    return rest if value is None else [*rest, (name, value)]


def test_a_request_is_read_as_one_of_http1_would_be() -> None:
    """Hop-by-hop fields, and those that are written anew, are not among its fields."""
    head = request(
        (b"cookie", b"a=1"),
        (b"accept", b"*/*"),
        (b"te", b"Trailers"),
        (b"cookie", b"b=2"),
        (b"expect", b"100-Continue"),
        (b"proxy-authorization", b"secret"),
        (b"content-length", b"5"),
        ends=False,
    )
    assert (head.method, head.target, head.host) == ("GET", "/x?y", b"a.test")
    assert head.fields == [(b"accept", b"*/*"), (b"cookie", b"a=1; b=2"), (b"te", b"trailers")]
    assert (head.framing, head.continues, head.minor) == (5, True, 1)


@pytest.mark.parametrize(
    ("fields", "ends", "framing"),
    [
        ([], True, NO_BODY),
        ([(b"content-length", b"0")], True, NO_BODY),
        ([], False, CHUNKED),
        ([(b"content-length", b"7")], False, 7),
    ],
)
def test_a_body_is_framed_by_its_length_or_its_end(
    fields: Fields, ends: bool, framing: int
) -> None:
    """A request without a length can be forwarded in chunks."""
    assert request(*fields, ends=ends).framing == framing


def test_a_request_may_name_other_methods_and_targets() -> None:
    """The policy has to consider what servers may use instead."""
    head = request((b"x-http-method-override", b"delete"), (b"x-original-url", b"/admin"))
    assert (head.overriding, head.rerouted) == (("DELETE",), ("/admin",))


@pytest.mark.parametrize("host", [(b":authority", b"a.test"), (b"host", b"a.test")])
def test_a_request_names_its_server_in_either_field(host: tuple[bytes, bytes]) -> None:
    """`:authority` or Host names the server (RFC 9113 8.3.1)."""
    section = [field for field in ASKED if field[0] != b":authority"]
    assert heads.request_head([*section, host], ends=True).host == b"a.test"


@pytest.mark.parametrize(
    ("section", "status"),
    [
        (instead(b":method", b"CONNECT"), 405),
        ([*ASKED, (b":protocol", b"websocket")], 405),
        (instead(b":method", b"G T"), 400),
        (instead(b":method", b"G" * 33), 400),
        (instead(b":path", b"/a b"), 400),
        (instead(b":path", b"a.test/"), 400),
        (instead(b":path", None), 400),
        (instead(b":authority", None), 400),
        ([*ASKED, (b"host", b"b.test")], 400),
        ([*ASKED, (b"Upper", b"1")], 400),
        ([*ASKED, (b"a", b"1\r\nx: y")], 400),
        ([*ASKED, (b"content-length", b"-1")], 400),
        ([*ASKED, (b"content-length", b"5")], 400),
    ],
)
def test_a_request_that_http1_could_not_say_is_malformed(section: Fields, status: int) -> None:
    """A request is refused if HTTP/1.1 couldn't express it, or if its announced body is missing."""
    with pytest.raises(BadMessageError) as caught:
        heads.request_head(section, ends=True)
    assert caught.value.status == status


def test_a_request_is_written_with_the_fields_in_lower_case() -> None:
    """Fields of a client that speaks HTTP/1.1 get names in lower case."""
    head = RequestHead("POST", "/ignored", [(b"Accept", b"*/*")])
    head.framing, head.continues = 3, True
    assert heads.request_section(head, SERVER, "/x") == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"a.test:8443"),
        (b":path", b"/x"),
        (b"accept", b"*/*"),
        (b"content-length", b"3"),
        (b"expect", b"100-continue"),
    ]


@pytest.mark.parametrize(
    ("section", "method", "ends", "framing", "length", "last"),
    [
        ([(b":status", b"200")], "GET", False, CHUNKED, None, False),
        ([(b":status", b"200"), (b"content-length", b"5")], "GET", False, 5, 5, False),
        ([(b":status", b"200"), (b"content-length", b"0")], "GET", False, 0, 0, False),
        ([(b":status", b"200"), (b"content-length", b"5")], "HEAD", True, NO_BODY, 5, True),
        ([(b":status", b"304"), (b"content-length", b"5")], "GET", True, NO_BODY, 5, True),
        ([(b":status", b"204")], "GET", True, NO_BODY, None, True),
        ([(b":status", b"103")], "GET", False, NO_BODY, None, False),
        ([(b":status", b"200")], "POST", True, CHUNKED, None, True),
    ],
)
def test_a_response_is_read_with_its_framing(
    section: Fields, method: str, ends: bool, framing: int, length: int | None, last: bool
) -> None:
    """A head has its announced length, the framing of its body, and whether anything follows."""
    head = heads.response_head(section, method, ends=ends)
    assert (head.framing, head.length, head.ends) == (framing, length, last)


@pytest.mark.parametrize(
    "section",
    [
        [],
        [(b":status", b"20")],
        [(b":status", b"2xx")],
        [(b":status", b"200"), (b"Upper", b"1")],
        [(b":status", b"200"), (b"content-length", b"x")],
        [(b":status", b"200"), (b"content-length", b"5")],
    ],
)
def test_a_malformed_response_is_an_error(section: Fields) -> None:
    """A response is refused if it is malformed, or ends before its body."""
    with pytest.raises(BadMessageError):
        heads.response_head(section, "GET", ends=True)


def test_a_response_is_written_with_its_length() -> None:
    """A final response has its length, an informational one has none."""
    assert heads.response_section(ResponseHead(200, [(b"A", b"1")], 3)) == [
        (b":status", b"200"),
        (b"a", b"1"),
        (b"content-length", b"3"),
    ]
    assert heads.response_section(ResponseHead(103, [])) == [(b":status", b"103")]


_TEXT = st.binary(max_size=12)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"cookie", b"te", b":x"]) | _TEXT, _TEXT)))
def test_any_fields_are_read_or_malformed(fields: Fields) -> None:
    """Any fields are parsed or refused, and a parsed request can be written again."""
    try:
        head = request(*fields, ends=False)
    except BadMessageError:
        return
    again = heads.request_head(heads.request_section(head, SERVER, head.target), ends=False)
    assert (again.method, again.target, again.framing) == ("GET", "/x?y", head.framing)

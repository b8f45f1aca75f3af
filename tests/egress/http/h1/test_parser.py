"""The parser of HTTP/1.1 heads, compared with llhttp and h11."""

from __future__ import annotations

import h11
import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.egress.http.fields import accepts_upgrade
from moat.egress.http.h1 import parser as http1
from moat.egress.http.h1 import writer
from moat.egress.http.messages import (
    CHUNKED,
    MAX_HEAD,
    NO_BODY,
    UNTIL_CLOSE,
    BadMessageError,
    RequestHead,
    ResponseHead,
)


def _request(*lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"", b""))


def test_a_request_is_taken_apart() -> None:
    """A request keeps its method, target, host and framing, and its fields in order and spelling."""
    head = http1.parse_request_head(
        _request(
            b"POST /a?b=c HTTP/1.1",
            b"Host: example.com",
            b"X-One:1",
            b"Content-Length: 12",
            b"x-two: \t two words \t",
        )
    )

    assert (head.method, head.target, head.host) == ("POST", "/a?b=c", b"example.com")
    assert head.framing == 12
    assert head.fields == [(b"X-One", b"1"), (b"x-two", b"two words")]
    assert head.keep_alive


SMUGGLED = {
    "CL.TE": [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
    "TE.CL": [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
    "TE.TE": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    "TE twice": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "xchunked": [b"Transfer-Encoding: xchunked"],
    "gzip, chunked": [b"Transfer-Encoding: gzip, chunked"],
    "chunked, identity": [b"Transfer-Encoding: chunked, identity"],
    "TE with vertical tab": [b"Transfer-Encoding: \x0bchunked"],
    "TE with space before colon": [b"Transfer-Encoding : chunked"],
    "TE folded": [b"Transfer-Encoding:", b" chunked"],
    "CL twice": [b"Content-Length: 4", b"Content-Length: 4"],
    "CL twice, different": [b"Content-Length: 4", b"Content-Length: 5"],
    "CL list": [b"Content-Length: 5, 5"],
    "CL signed": [b"Content-Length: +5"],
    "CL negative": [b"Content-Length: -1"],
    "CL hexadecimal": [b"Content-Length: 0x5"],
    "CL underscore": [b"Content-Length: 1_0"],
    "CL not ASCII": ["Content-Length: \u0665".encode()],
    "CL empty": [b"Content-Length:"],
    "CL too long": [b"Content-Length: " + b"9" * 40],
    "Host twice": [b"Host: example.com"],
    "Host twice, other": [b"host: evil.example"],
    "obs-fold": [b"X-A: b", b" c"],
    "field without a colon": [b"nonsense"],
    "field without a name": [b": value"],
    "name with a space": [b"X A: b"],
    "name with a slash": [b"X/A: b"],
    "NUL in a value": [b"X-A: b\x00c"],
    "bare CR in a value": [b"X-A: b\rTransfer-Encoding: chunked"],
    "bare LF in a value": [b"X-A: b\nTransfer-Encoding: chunked"],
    "DEL in a value": [b"X-A: \x7f"],
}


@pytest.mark.parametrize("lines", SMUGGLED.values(), ids=SMUGGLED)
def test_what_two_parsers_could_understand_differently_is_refused(lines: list[bytes]) -> None:
    """Every known way to smuggle a second request is refused, not repaired."""
    with pytest.raises(BadMessageError):
        http1.parse_request_head(_request(b"POST / HTTP/1.1", b"Host: example.com", *lines))


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /  HTTP/1.1", b"GET  / HTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 "),
        *(b"GET / HTTP/2.0", b"GET / HTTP/0.9", b"GET / HTTP/1.2", b"GET / http/1.1", b"GET /"),
        *(b"GET\t/ HTTP/1.1", b"GET / HTTP/1.1\r", b"G(T / HTTP/1.1", b"GET /\x80 HTTP/1.1"),
        *(b"GET /\x00 HTTP/1.1", b"", b"GET / HTTP/1.1\r\n", b"GET /a b HTTP/1.1"),
    ],
)
def test_a_malformed_request_line_is_refused(line: bytes) -> None:
    """A request line is a method, a target without spaces and a version, with single spaces between."""
    with pytest.raises(BadMessageError):
        http1.parse_request_head(_request(line, b"Host: example.com"))


def test_a_request_without_host_is_refused() -> None:
    """HTTP/1.1 requires a Host (RFC 9112 3.2), HTTP/1.0 doesn't."""
    with pytest.raises(BadMessageError, match="Host"):
        http1.parse_request_head(_request(b"GET / HTTP/1.1"))
    assert http1.parse_request_head(_request(b"GET / HTTP/1.0")).host is None


def test_what_concerns_this_connection_alone_does_not_go_on() -> None:
    """Hop-by-hop fields and those that Connection lists are not forwarded (RFC 9110 7.6.1)."""
    head = http1.parse_request_head(
        _request(
            *(b"GET / HTTP/1.1", b"Host: a", b"Connection: keep-alive, X-Secret", b"Keep-Alive: 5"),
            *(b"X-Secret: 1", b"Proxy-Authorization: Basic x", b"Proxy-Connection: close"),
            *(b"TE: trailers, deflate", b"X-Kept: 1", b"HTTP2-Settings: AAA", b"Upgrade: h2c"),
        )
    )

    assert head.fields == [(b"X-Kept", b"1"), (b"TE", b"trailers")]
    assert head.upgrade is None
    assert head.keep_alive


@pytest.mark.parametrize(
    ("lines", "stays"),
    [
        ([b"GET / HTTP/1.1", b"Host: a"], True),
        ([b"GET / HTTP/1.1", b"Host: a", b"Connection: close"], False),
        ([b"GET / HTTP/1.1", b"Host: a", b"Connection: Keep-Alive, Close"], False),
        ([b"GET / HTTP/1.0", b"Host: a"], False),
        ([b"GET / HTTP/1.0", b"Host: a", b"Connection: keep-alive"], True),
    ],
)
def test_how_long_a_connection_stays(lines: list[bytes], stays: bool) -> None:
    """Version and Connection field decide whether a connection persists (RFC 9112 9.3)."""
    assert http1.parse_request_head(_request(*lines)).keep_alive is stays


def test_an_upgrade_is_understood_and_written_anew() -> None:
    """A WebSocket's handshake is forwarded with a Connection field of the proxy's own."""
    head = http1.parse_request_head(
        _request(
            *(b"GET /chat HTTP/1.1", b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket"),
            b"Sec-WebSocket-Key: abc",
        )
    )

    written = writer.request_bytes(head, head.target, b"a")

    assert head.upgrade == b"websocket"
    assert b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" in written


@pytest.mark.parametrize(
    ("method", "status", "lines", "framing"),
    [
        ("GET", b"200 OK", [b"Content-Length: 7"], 7),
        ("GET", b"200 OK", [b"Transfer-Encoding: chunked"], CHUNKED),
        ("GET", b"200", [], UNTIL_CLOSE),
        ("HEAD", b"200 OK", [b"Content-Length: 7"], NO_BODY),
        ("GET", b"204 No Content", [], NO_BODY),
        ("GET", b"304 Not Modified", [b"Content-Length: 7"], NO_BODY),
        ("GET", b"103 Early Hints", [b"Link: </a>"], NO_BODY),
    ],
)
def test_how_a_response_ends(method: str, status: bytes, lines: list[bytes], framing: int) -> None:
    """Status, method and fields decide where a response ends (RFC 9112 6.3)."""
    head = http1.parse_response_head(_request(b"HTTP/1.1 " + status, *lines), method)

    assert head.framing == framing


@pytest.mark.parametrize(
    "lines",
    [
        [b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Transfer-Encoding: chunked"],
        [b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Content-Length: 2"],
        [b"HTTP/1.1 99 No"],
        [b"HTTP/1.1 2000 OK"],
        [b"HTTP/2 200"],
        [b"HTTP/1.1 200 OK\x00"],
        [b"ICY 200 OK"],
    ],
)
def test_a_malformed_response_is_refused(lines: list[bytes]) -> None:
    """A response is parsed as strictly as a request."""
    with pytest.raises(BadMessageError):
        http1.parse_response_head(_request(*lines), "GET")


def test_an_unfinished_head_is_waited_for_and_a_hopeless_one_is_not() -> None:
    """Bare line ends, NULs and an excessive size are refused before the head is complete."""
    assert http1.head_end(b"GET / HTTP/1.1\r\nHost: a\r\n") == -1
    assert http1.head_end(b"GET / HTTP/1.1\r") == -1
    assert http1.head_end(b"GET / HTTP/1.1\r\n\r\nrest") == 18
    for hopeless in (b"GET / HTTP/1.1\n", b"\n", b"a\0", b"GET / HTTP/1.1\rX", b"\r\nA\n"):
        with pytest.raises(BadMessageError):
            http1.head_end(hopeless)
    with pytest.raises(BadMessageError) as problem:
        http1.head_end(b"G" * MAX_HEAD)
    assert problem.value.status == 431


@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_a_head_in_two_pieces_ends_where_it_ends_in_one(data: bytes, cut: int) -> None:
    """The part that was scanned before isn't scanned again."""
    data = data.replace(b"\x00", b"\r\n\r\n")
    try:
        first = http1.head_end(data[:cut])
    except BadMessageError:
        return
    if first < 0:
        try:
            whole = http1.head_end(data)
        except BadMessageError:
            with pytest.raises(BadMessageError):
                http1.head_end(data, min(cut, len(data)))
        else:
            assert http1.head_end(data, min(cut, len(data))) == whole


def test_too_many_fields_are_refused() -> None:
    """Too many fields get a 431 (RFC 6585), like a head that is too long."""
    lines = [b"X-%d: a" % number for number in range(http1.MAX_FIELDS + 1)]
    with pytest.raises(BadMessageError) as problem:
        http1.parse_request_head(_request(b"GET / HTTP/1.1", b"Host: a", *lines))
    assert problem.value.status == 431


def test_a_response_is_written_with_our_framing() -> None:
    """A response has its length, even for HEAD, or is chunked, and says whether the connection ends."""
    head = ResponseHead(200, [(b"X-A", b"b")], 5)
    assert writer.response_bytes(head, 5, close=True) == (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    )
    assert b"\r\nTransfer-Encoding: chunked\r\n" in writer.response_bytes(
        ResponseHead(200, [], CHUNKED), CHUNKED, close=False
    )


# --- the same as others understand it ---

_TOKENS = st.text("abcXYZ-_!~019", min_size=1, max_size=8).map(str.encode)
_VALUES = st.binary(max_size=12)
_HEADS = st.builds(
    lambda method, target, fields, version: (
        method + b" " + target + b" HTTP/1." + version + b"\r\n"
        + b"".join(name + b":" + value + b"\r\n" for name, value in fields) + b"\r\n"
    ),
    st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"GE T", b"get"]),
    st.sampled_from([b"/", b"/a?b", b"*", b"http://a/", b"/\x80", b"/ b"]) | _VALUES,
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Host ", b"X"]
            )
            | _TOKENS,
            st.sampled_from(
                [b" a", b" chunked", b" 5", b" 5, 5", b" +5", b" keep-alive", b" close", b"\r\n x"]
            )
            | _VALUES,
        ),
        max_size=4,
    ),
    st.sampled_from([b"1", b"1", b"1", b"0", b"2", b"\r\n"]),
)  # fmt: skip


def _ours(head: bytes) -> RequestHead | None:
    try:
        return http1.parse_request_head(head)
    except BadMessageError:
        return None


class _Heard:
    """The events of llhttp for one head."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


@given(head=_HEADS)
@example(head=b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
def test_what_we_accept_llhttp_accepts_and_reads_the_same(head: bytes) -> None:
    """llhttp, Node's parser, accepts all that this one accepts and reads the same."""
    request = _ours(head)
    if request is None or request.method == "get" or request.target[0] != "/":
        return  # llhttp takes only methods that it knows; of targets `arrival` says more
    heard = _Heard()
    parser = httptools.HttpRequestParser(heard)

    parser.feed_data(head)

    assert heard.complete
    assert heard.url.decode() == request.target
    theirs = {name.lower(): value.strip(b" \t") for name, value in heard.fields}
    assert theirs.get(b"host") == request.host
    assert (b"transfer-encoding" in theirs) == (request.framing == CHUNKED)
    if request.framing > 0:
        assert int(theirs[b"content-length"]) == request.framing
    assert {name.lower() for name, _ in request.fields} <= theirs.keys()


@given(head=_HEADS)
@example(head=b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: a\r\n\r\n")
def test_what_we_write_h11_reads_as_we_do(head: bytes) -> None:
    """h11 reads a head that was written for a server as it was meant."""
    request = _ours(head)
    if request is None or request.upgrade is not None:
        return
    reader = h11.Connection(h11.SERVER)

    reader.receive_data(writer.request_bytes(request, request.target, b"example.com"))

    event = reader.next_event()
    assert isinstance(event, h11.Request)
    assert event.method.decode() == request.method
    assert event.target.decode() == request.target
    fields = dict(event.headers)
    assert fields[b"host"] == b"example.com"
    assert (fields.get(b"transfer-encoding") == b"chunked") == (request.framing == CHUNKED)
    if request.framing >= 0:
        assert int(fields.get(b"content-length", 0)) == request.framing


@pytest.mark.parametrize(
    "upgrade",
    [
        *(b"h2c", b"H2C", b"websocket, h2c", b"HTTP/2.0", b"a,\th2c", b"h2c-14", b"h3"),
        *(b"TLS/1.0", b"tls", b"TLS/1.3, HTTP/1.1", b"HTTPS/1.3"),
    ],
)
def test_no_other_http_is_agreed_on_behind_our_back(upgrade: bytes) -> None:
    """After an upgrade to another version of HTTP, requests would bypass the policy."""
    upgraded = [b"GET / HTTP/1.1", b"Host: a", b"Connection: upgrade", b"Upgrade: " + upgrade]
    head = http1.parse_request_head(_request(*upgraded))

    assert head.upgrade is None


def test_methods_in_fields_are_told_and_go_on() -> None:
    """Methods in fields are reported for the policy, and the fields are forwarded."""
    lines = [
        b"POST / HTTP/1.1",
        b"Host: a",
        b"X-HTTP-Method-Override: delete",
        b"X-HTTP-Method: PUT",
    ]
    head = http1.parse_request_head(_request(*lines))

    assert head.overriding == ("DELETE", "PUT")
    assert len(head.fields) == 2


def test_a_method_in_a_field_must_be_one() -> None:
    """A list of methods could mean anything, so it is refused."""
    lines = [b"POST / HTTP/1.1", b"Host: a", b"X-HTTP-Method-Override: GET, DELETE"]
    with pytest.raises(BadMessageError, match="overrides"):
        http1.parse_request_head(_request(*lines))


@pytest.mark.parametrize(
    ("offered", "chosen", "agreed"),
    [
        (b"websocket", b"WebSocket", True),
        (b"SPDY/3.1, websocket", b"SPDY/3.1", True),
        (b"tcp", b"TLS/1.0, HTTP/1.1", False),
        (b"websocket", b"websocket, TLS/1.3", False),
    ],
)
def test_a_server_changes_to_what_was_offered(offered: bytes, chosen: bytes, agreed: bool) -> None:
    """A server may only change to a protocol that was offered, or it might agree on HTTP after all."""
    assert accepts_upgrade(offered, chosen) is agreed


def test_moat_alone_says_what_it_has_denied() -> None:
    """X-Moat-Denied from a server would look like the proxy's own, in head or trailers."""
    lines = b"X-Moat-Denied: rule=none\r\nX-Kept: 1\r\n\r\n"
    head = http1.parse_response_head(b"HTTP/1.1 403 Forbidden\r\n" + lines, "GET")

    assert head.fields == [(b"X-Kept", b"1")]
    assert http1.parse_trailers(lines) == [(b"X-Kept", b"1")]

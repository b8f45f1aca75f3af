"""Readers of HTTP/1.1 bodies: the same payload however it arrives, and nothing malformed."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moat.egress.http.h1.bodies import BodyReader, ChunkedReader, SizedReader, body_reader
from moat.egress.http.messages import UNTIL_CLOSE, BadMessageError


def _read(reader: BodyReader, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Return the payload, and the data behind the body."""
    payload, rest = b"", b""
    for piece in pieces:
        if reader.done:
            rest += piece
        else:
            payload += b"".join(reader.feed(piece))
            rest += bytes(reader.rest) if reader.done else b""
    return payload, rest


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


GRPC = b"Grpc-Status: 0\r\nContent-Length: 9\r\nAuthorization: x\r\n"
"""Trailers, of which only the first is allowed there."""


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    extension=st.sampled_from([b"", b";a", b" ; a=b", b';q="x"']),
    trailers=st.sampled_from([b"", b"X-Sum: 1\r\n", GRPC]),
    rest=st.binary(max_size=10),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_a_chunked_body_is_the_same_however_it_is_cut(
    chunks: list[bytes], extension: bytes, trailers: bytes, rest: bytes, cuts: list[int]
) -> None:
    """Payload, trailers and rest don't depend on where the data is cut."""
    sent = b"".join(b"%X%b\r\n%b\r\n" % (len(each), extension, each) for each in chunks)
    data = sent + b"0" + extension + b"\r\n" + trailers + b"\r\n" + rest
    reader = ChunkedReader()

    assert _read(reader, _cut(data, cuts)) == (b"".join(chunks), rest)
    assert reader.done
    # What would say something about a message that has gone by is left out.
    assert all(name in {b"X-Sum", b"Grpc-Status"} for name, _ in reader.trailers)
    assert len(reader.trailers) == (1 if trailers else 0)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"5\nhello\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n0\r\n\r\n",
            b"0x5\r\n",
            b"-5\r\n",
            b"+5\r\n",
        ),
        *(b"\r\n", b" 5\r\n", b"g\r\n", b"5 \r\n", b"5;a\nb\r\n", b"5;\x00\r\n", b"1" * 2000),
        *(b"FFFFFFFFFFFFFFFFF\r\n", b"0\r\nX: a\nY: b\r\n\r\n", b"0\r\nX : a\r\n\r\n", b"5_0\r\n"),
        *(b"0\r\n X: folded\r\n\r\n", b"5\r\r\n", b"0\r\nX: \x00\r\n\r\n"),
    ],
)
def test_a_malformed_chunked_body_is_refused(body: bytes) -> None:
    """A malformed body is refused at once and when it comes byte by byte."""
    with pytest.raises(BadMessageError):
        _read(ChunkedReader(), [body])
    with pytest.raises(BadMessageError):
        _read(ChunkedReader(), [body[at : at + 1] for at in range(len(body))])


def test_trailers_are_bounded() -> None:
    """Trailers are limited like heads."""
    with pytest.raises(BadMessageError):
        _read(ChunkedReader(), [b"0\r\n", *[b"X-A: " + b"a" * 1000 + b"\r\n"] * 100])


@given(data=st.binary(max_size=60) | st.text("0123456789abF\r\n;: x", max_size=60).map(str.encode))
@example(data=b"5\r\nhello\r\n0\r\n\r\n")
@example(data=b"1\r\na\r\n1;x\r\nb\r\n0\r\nA: b\r\n\r\nGET")
def test_a_chunked_body_that_we_accept_h11_reads_the_same(data: bytes) -> None:
    """h11, another strict implementation, agrees about payload and end."""
    reader = ChunkedReader()
    try:
        payload, rest = _read(reader, [data])
    except BadMessageError:
        return
    if not reader.done:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    theirs = b""
    while not isinstance(event := other.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            theirs += event.data
    assert theirs == payload
    assert other.trailing_data[0] == rest


def test_a_sized_body_ends_where_it_said() -> None:
    """The data behind a sized body belongs to the next message."""
    reader = SizedReader(5)
    assert _read(reader, [b"hel", b"loGET"]) == (b"hello", b"GET")
    assert reader.done


def test_a_body_until_the_end_of_the_connection_takes_everything() -> None:
    """Without a length, the body ends with the connection (RFC 9112 6.3, rule 8)."""
    reader = body_reader(UNTIL_CLOSE)
    assert _read(reader, [b"a", b"b"]) == (b"ab", b"")
    assert not reader.done

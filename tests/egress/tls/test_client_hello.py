"""The first message of TLS clients: real ones, cut up ones, and those that lie."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.tls import client_hello
from moat.egress.tls.client_hello import ClientHello


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + _vector(2, content)


def _named(*names: bytes, kind: int = 0) -> bytes:
    return _extension(0, _vector(2, b"".join(bytes((kind,)) + _vector(2, name) for name in names)))


def _protocols(*names: bytes) -> bytes:
    return _extension(16, _vector(2, b"".join(_vector(1, name) for name in names)))


def _handshake(body: bytes, kind: int = 1) -> bytes:
    return bytes((kind,)) + _vector(3, body)


def _body(*extensions: bytes) -> bytes:
    fixed = b"\x03\x03" + bytes(32)
    vectors = _vector(1, bytes(32)) + _vector(2, b"\x13\x01") + _vector(1, b"\x00")
    return fixed + vectors + _vector(2, b"".join(extensions))


def _records(message: bytes, piece: int = 1 << 14) -> bytes:
    return b"".join(
        b"\x16\x03\x01" + _vector(2, message[at : at + piece])
        for at in range(0, len(message), piece)
    )


def _hello(*extensions: bytes) -> bytes:
    return _records(_handshake(_body(*extensions)))


def _openssls(name: str | None, *protocols: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("name", "protocols"),
    [("example.com", ()), ("api.example.com", ("h2", "http/1.1")), (None, ("h2",)), (None, ())],
)
def test_what_openssl_sends_is_read(name: str | None, protocols: tuple[str, ...]) -> None:
    """With and without a name, with and without ALPN."""
    alpn = tuple(each.encode() for each in protocols)
    assert client_hello.parse(_openssls(name, *protocols)) == ClientHello(name, alpn, False)


def test_a_part_of_it_is_not_yet_a_hello() -> None:
    """Byte by byte: incomplete up to the last; what comes after it is not looked at."""
    data = _openssls("example.com", "h2")

    for end in range(len(data)):
        assert client_hello.parse(data[:end]) is None
    whole = client_hello.parse(data)
    assert whole is not None
    assert whole.sni == "example.com"
    assert client_hello.parse(data + b"\x17early data") == whole


@given(piece=st.integers(min_value=8, max_value=2000))
def test_it_may_come_in_several_records(piece: int) -> None:
    """However it is cut, also within its own header (RFC 8446 5.1)."""
    message = _handshake(_body(_named(b"example.com"), _extension(21, bytes(300))))
    data = _records(message, piece)

    assert client_hello.parse(data) == ClientHello("example.com", (), False)
    assert client_hello.parse(data[:-1]) is None


def test_a_hello_before_extensions_were_known_is_one() -> None:
    """TLS 1.2 lets them be absent (RFC 5246 7.4.1.2)."""
    body = _body()[:-2]

    assert client_hello.parse(_records(_handshake(body))) == ClientHello(None, (), False)


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_an_encrypted_one_is_told(kind: int) -> None:
    """ECH, what browsers send in its place (GREASE), or ESNI: its outer name is read all the same."""
    data = _hello(_named(b"outer.example"), _extension(kind, bytes(100)))

    assert client_hello.parse(data) == ClientHello("outer.example", (), True)


@pytest.mark.parametrize("name", [b"a.com\x00.evil.com", b"EXAMPLE.com.", b"192.0.2.1", b"a b"])
def test_a_name_is_not_judged_here(name: bytes) -> None:
    """As it was sent: whoever compares it brings it into the canonical form, or refuses it."""
    found = client_hello.parse(_hello(_named(name)))

    assert found is not None
    assert found.sni == name.decode()


LIES = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "SSL 2": b"\x80\x2e\x01\x00\x02",
    "no version of TLS": b"\x16\x04",
    "an empty record": b"\x16\x03\x01\x00\x00",
    "a record that is too long": b"\x16\x03\x01\x40\x01",
    "another handshake message": _records(_handshake(_body(), kind=2)),
    "application data in the middle": _records(_handshake(_body())[:20]) + b"\x17\x03\x01",
    "a message that is too long": _records(b"\x01" + (64 * 1024).to_bytes(3, "big")),
    "a byte in each record": _records(_handshake(_body(_named(b"a.com"))), 1),
    "something after it in its record": _records(_handshake(_body()) + b"\x00"),
    "something after its extensions": _records(_handshake(_body() + b"\x00")),
    "a body that ends early": _records(_handshake(_body()[:40])),
    "two lists of names": _hello(_named(b"a.com"), _named(b"b.com")),
    "two names": _hello(_named(b"a.com", b"b.com")),
    "two kinds of name": _hello(_named(b"a.com", kind=1)),
    "an empty name": _hello(_named(b"")),
    "no name": _hello(_named()),
    "a name that is not ASCII": _hello(_named("b\u00fccher.example".encode())),
    "something after the names": _hello(_extension(0, _vector(2, b"\0\0\1a") + b"\0")),
    "a list of names that ends early": _hello(_extension(0, b"\x00\x09\x00\x00\x01a")),
    "ALPN twice": _hello(_protocols(b"h2"), _protocols(b"h2")),
    "an empty protocol": _hello(_protocols(b"h2", b"")),
    "no protocols": _hello(_protocols()),
    "something after the protocols": _hello(_extension(16, _vector(2, b"\2h2") + b"\0")),
}  # fmt: skip


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_what_is_no_clienthello_is_refused(data: bytes) -> None:
    """Two readers could find different names in it, or it would keep us waiting for nothing."""
    with pytest.raises(ValueError):
        client_hello.parse(data)


@pytest.mark.parametrize("first", sorted(set(range(256)) - {0x16}))
def test_one_byte_tells_that_it_is_something_else(first: int) -> None:
    """Nobody waits for the rest of it."""
    with pytest.raises(ValueError, match="not a handshake"):
        client_hello.parse(bytes((first,)))


@given(
    head=st.sampled_from([b"", b"\x16\x03\x01", _hello(_named(b"example.com"))[:60]]),
    rest=st.binary(max_size=200),
)
def test_nothing_but_a_value_error_comes_of_any_bytes(head: bytes, rest: bytes) -> None:
    """And more of what is refused is refused."""
    try:
        client_hello.parse(head + rest)
    except ValueError:
        with pytest.raises(ValueError):
            client_hello.parse(head + rest + b"more")


@given(st.data())
def test_a_changed_byte_is_refused_or_read_as_what_it_says(data: st.DataObject) -> None:
    """A name is only ever one that stands in the bytes."""
    whole = bytearray(_hello(_named(b"example.com"), _protocols(b"h2", b"http/1.1")))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        found = client_hello.parse(bytes(whole))
    except ValueError:
        return
    if found is not None and found.sni is not None:
        assert found.sni.encode() in whole

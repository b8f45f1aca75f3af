"""A request goes to the server that its connection leads to, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import BadMessageError, RequestHead
from moat.egress.http.origin_check import CheckedTarget, OriginCheck, parse_authority


def _checked(
    target: str,
    host: bytes | None,
    *,
    method: str = "GET",
    reached: Destination | None = None,
    mismatch: str = "",
) -> CheckedTarget:
    request = RequestHead(method, target, [])
    request.host = host
    return OriginCheck(reached, mismatch).check(request)


SECURE = Destination("https", "a.test", 443)
ODD = Destination("http", "a.test", 8080)
FOUR = Destination("http", "192.0.2.1", 80)
SIX = Destination("http", "2001:db8::1", 80)


@pytest.mark.parametrize(
    ("reached", "target", "host", "sent"),
    [
        (SECURE, "/x?y", b"a.test", "/x?y"),
        (SECURE, "/x", b"A.Test.:443", "/x"),
        (SECURE, "https://a.test/x", b"a.test", "/x"),
        (SECURE, "HTTPS://A.TEST:443?q", b"a.test", "/?q"),
        (SECURE, "*", b"a.test", "*"),
        (SECURE, "/x", None, "/x"),
        (ODD, "/x", b"a.test:8080", "/x"),
        (SIX, "/x", b"[2001:DB8:0::1]", "/x"),
        (FOUR, "/x", b"[::ffff:192.0.2.1]", "/x"),
    ],
)
def test_who_names_its_own_server_reaches_it(
    reached: Destination, target: str, host: bytes | None, sent: str
) -> None:
    """Any form of the name will do, and the server gets the canonical one."""
    method = "OPTIONS" if target == "*" else "GET"
    checked = _checked(target, host, method=method, reached=reached)
    assert (checked.destination, checked.target, checked.refusal) == (reached, sent, None)


@pytest.mark.parametrize(
    ("reached", "target", "host"),
    [
        (SECURE, "/x", b"b.test"),
        (SECURE, "/x", b"a.test:8443"),
        (SECURE, "/x", b"a.test.b.test"),
        (SECURE, "http://a.test/x", b"a.test"),
        (SECURE, "https://b.test/x", b"a.test"),
        (SECURE, "https://a.test/x", b"b.test"),
        (ODD, "/x", b"a.test"),
        (SIX, "/x", b"[2001:db8::2]"),
    ],
)
def test_who_names_another_server_is_misdirected(
    reached: Destination, target: str, host: bytes
) -> None:
    """A request for another server gets a 421 and is not sent (RFC 9110 15.5.20)."""
    checked = _checked(target, host, reached=reached)
    assert checked.destination is reached
    assert checked.status == 421
    assert checked.refusal is not None


def test_a_handshake_for_another_server_spoils_all_that_comes_in_it() -> None:
    """Even a request with the right Host is refused behind a handshake for another server."""
    checked = _checked("/", b"a.test", reached=SECURE, mismatch="the handshake names b.test")
    assert checked.refusal is not None
    assert checked.refusal.reason == "moat: denied: the handshake names b.test"


@pytest.mark.parametrize(
    ("target", "host", "key"),
    [
        ("http://b.test/x", b"b.test", ("http", "b.test", 80)),
        ("https://b.test:8443/x", b"b.test:8443", ("https", "b.test", 8443)),
        ("http://[::1]:80/", None, ("http", "::1", 80)),
        ("http://0x7f.1/", None, ("http", "127.0.0.1", 80)),
    ],
)
def test_on_the_proxys_own_port_each_request_says_where_to(
    target: str, host: bytes | None, key: tuple[str, str, int]
) -> None:
    """A request to the proxy's own port names its server in absolute-form (RFC 9112 3.2.2)."""
    assert _checked(target, host).destination.key == key


@pytest.mark.parametrize(
    ("reached", "method", "target", "host"),
    [
        (None, "GET", "/x", b"a.test"),
        (None, "GET", "http://a.test/", b"b.test"),
        (None, "CONNECT", "a.test:443", b"a.test"),
        (None, "GET", "http://b.test@a.test/", b"a.test"),
        (SECURE, "GET", "/x#y", b"a.test"),
        (SECURE, "GET", "a.test/x", b"a.test"),
        (SECURE, "GET", "*", b"a.test"),
        (SECURE, "CONNECT", "a.test:443", b"a.test"),
        (SECURE, "GET", "/x", b"a.test@b.test"),
        (SECURE, "GET", "/x", b"a.test:0"),
        (SECURE, "GET", "/x", b"a.test:99999"),
        (SECURE, "GET", "/x", b"a.test\0"),
        (SECURE, "GET", "/x", b""),
        (SECURE, "GET", "/x", b"[a.test]"),
        (SECURE, "GET", "/x", b"[fed.cafe]"),
        (SECURE, "GET", "/x", b"\xaa.test"),
        (SECURE, "GET", "/x", b"a\xad.test"),
        (SECURE, "GET", "/x", "\uff41.test".encode()),
    ],
)
def test_what_names_no_server_is_malformed(
    reached: Destination | None, method: str, target: str, host: bytes
) -> None:
    """A request that doesn't name its server properly is refused, not guessed at."""
    with pytest.raises(BadMessageError):
        _checked(target, host, method=method, reached=reached)


@pytest.mark.parametrize(
    ("target", "host"),
    [("http://s3cret@a.test/", b"a.test"), ("http://a.test/?s3cret", b"s3cret@a.test")],
)
def test_a_secret_is_not_in_the_error(target: str, host: bytes) -> None:
    """Errors are recorded, so they must not contain secrets."""
    with pytest.raises(BadMessageError) as caught:
        _checked(target, host)
    assert "s3cret" not in str(caught.value)


@given(st.text("ab.:/@#?[]0%\\ht ps\x00é", max_size=30), st.binary(max_size=20))
def test_no_request_leads_elsewhere(target: str, host: bytes) -> None:
    """Whatever a request says, it goes to its connection's server or nowhere."""
    try:
        checked = _checked(target or "/", host, reached=SECURE)
    except BadMessageError:
        return
    assert checked.destination is SECURE
    assert checked.refusal is not None or parse_authority(host.decode("latin-1"), 443) == (
        "a.test",
        443,
    )

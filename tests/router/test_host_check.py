"""The host that a request is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http.messages import BadMessageError, RequestHead
from moat.router.host_check import HostCheck


def request(
    target: str = "/", host: bytes | None = b"a.localhost", method: str = "GET"
) -> RequestHead:
    made = RequestHead(method, target, [])
    made.host = host
    return made


@pytest.mark.parametrize(
    ("target", "host", "key", "sent"),
    [
        ("/x?y", b"web.fix.localhost:8080", ("http", "web.fix.localhost", 8080), "/x?y"),
        ("/", b"WEB.Fix.LocalHost.", ("http", "web.fix.localhost", 80), "/"),
        ("http://a.localhost:1/x", b"a.localhost:1", ("http", "a.localhost", 1), "/x"),
        ("http://a.localhost/x", None, ("http", "a.localhost", 80), "/x"),
        ("/", b"[::1]:8080", ("http", "::1", 8080), "/"),
        ("/", b"evil.example", ("http", "evil.example", 80), "/"),
    ],
)
def test_each_request_names_its_host(
    target: str, host: bytes | None, key: tuple[str, str, int], sent: str
) -> None:
    """In whatever form; whether the host is served is decided later."""
    checked = HostCheck("http").check(request(target, host))
    assert (checked.destination.key, checked.target) == (key, sent)
    assert checked.refusal is None


@pytest.mark.parametrize(
    ("target", "host", "method", "status"),
    [
        ("a.localhost:443", b"a.localhost:443", "CONNECT", 405),
        ("http://b.localhost/", b"a.localhost", "GET", 400),
        ("https://a.localhost/", b"a.localhost", "GET", 400),
        ("http://a.localhost@evil.example/", b"a.localhost", "GET", 400),
        ("ftp://a.localhost/", b"a.localhost", "GET", 400),
        ("/#x", b"a.localhost", "GET", 400),
        ("/", None, "GET", 400),
        ("/", b"a b.localhost", "GET", 400),
        ("/", b"a.localhost:0", "GET", 400),
        ("/", b"", "GET", 400),
    ],
)
def test_a_request_that_is_for_no_one_host_is_malformed(
    target: str, host: bytes | None, method: str, status: int
) -> None:
    """Nor does the router go anywhere for somebody: it is no proxy."""
    with pytest.raises(BadMessageError) as caught:
        HostCheck("http").check(request(target, host, method))
    assert caught.value.status == status


def test_the_next_request_may_be_for_another_host() -> None:
    """A connection is no run's own: what the last request named says nothing about this one."""
    check = HostCheck("https")
    hosts = [b"a.localhost", b"a.localhost", b"b.localhost:1", b"a.localhost"]
    found = [check.check(request(host=host)).destination.host for host in hosts]
    assert found == ["a.localhost", "a.localhost", "b.localhost", "a.localhost"]
    with pytest.raises(BadMessageError):
        check.check(request("http://b.localhost/", b"a.localhost"))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_remembered_host_changes_nothing(first: bytes, second: bytes) -> None:
    """The second request on a connection is understood as the first on another would be."""
    check = HostCheck("http")
    _outcome(check, first)
    assert _outcome(check, second) == _outcome(HostCheck("http"), second)


def _outcome(check: HostCheck, host: bytes) -> object:
    try:
        checked = check.check(request(host=host))
    except BadMessageError as exc:
        return str(exc)
    return checked.destination.key, checked.target

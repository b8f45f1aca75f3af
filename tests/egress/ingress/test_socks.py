"""SOCKS 5 as a client sees it: the replies, the target, and not a byte too many consumed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.ingress import socks
from moat.egress.ingress.socks import Step, Target

GREETING = b"\x05\x01\x00"
NAME = b"\x05\x01\x00\x03\x0bexample.com\x01\xbb"


def _converse(data: bytes, server: socks.Server | None = None) -> tuple[bytes, Step, bytes]:
    """Return the replies, the last step and what was not consumed of what a client sends at once."""
    server = server or socks.Server()
    answered = b""
    while True:
        step = server.feed(data)
        answered += step.reply
        data = data[step.consumed :]
        if not step.consumed or step.target or step.failed:
            return answered, step, data


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (b"\x03\x0bexample.com", "example.com"),
        (b"\x01\xc0\x00\x02\x01", "192.0.2.1"),
        (b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x07", "2001:db8::7"),
    ],
)
def test_where_a_client_wants_to_go(address: bytes, host: str) -> None:
    """The target is a name or an address; bytes after the request are not consumed."""
    answered, step, rest = _converse(
        GREETING + b"\x05\x01\x00" + address + b"\x01\xbb" + b"TLS follows"
    )

    assert answered == b"\x05\x00"
    assert step.target == Target(host, 443)
    assert rest == b"TLS follows"


@pytest.mark.parametrize("password", [b"", b"secret", b"x" * 255])
def test_a_password_is_taken_and_forgotten(password: bytes) -> None:
    """A client that offers only a password may use it (RFC 1929)."""
    login = b"\x01\x04user" + bytes((len(password),)) + password
    answered, step, rest = _converse(b"\x05\x02\x01\x02" + login + NAME)

    assert answered == b"\x05\x02" + b"\x01\x00"
    assert step.target == Target("example.com", 443)
    assert rest == b""


def test_a_client_that_needs_no_password_is_asked_for_none() -> None:
    """A client that needs no password is asked for none, whatever else it offers."""
    assert _converse(b"\x05\x03\x01\x02\x00")[0] == b"\x05\x00"


@pytest.mark.parametrize(
    ("data", "answer", "why"),
    [
        (b"\x05\x01\x01", b"\x05\xff", "authenticate"),
        (b"\x05\x00", b"\x05\xff", "authenticate"),
        (GREETING + b"\x05\x02" + NAME[2:], b"\x05\x00" + socks.reply(7), "command 2"),
        (GREETING + b"\x05\x03" + NAME[2:], b"\x05\x00" + socks.reply(7), "command 3"),
        (GREETING + b"\x05\x01\x00\x02\x00", b"\x05\x00" + socks.reply(8), "unknown kind"),
    ],
    ids=["GSSAPI alone", "no method", "BIND", "UDP ASSOCIATE", "a kind of address"],
)
def test_what_is_not_spoken_is_declined(data: bytes, answer: bytes, why: str) -> None:
    """The client gets the reply that RFC 1928 defines, and the record a reason."""
    answered, step, _ = _converse(data)

    assert answered == answer
    assert why in step.failed
    assert step.target is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x01\x01\xbb\xc0\x00\x02\x01user\x00",
        b"CONNECT example.com:443 HTTP/1.1\r\n",
        GREETING + b"\x04\x01",
        b"\x05\x01\x02\x05\x01\x00",
        GREETING + b"\x05\x01\x00\x03\x00\x01\xbb",
        GREETING + b"\x05\x01\x00\x03\x02\xc3\xa9\x01\xbb",
    ],
    ids=["SOCKS 4", "HTTP", "another version", "no password", "an empty name", "not ASCII"],
)
def test_what_is_no_socks_5_is_refused(data: bytes) -> None:
    """Nothing that could be understood in two ways is accepted."""
    with pytest.raises(ValueError):
        _converse(data)


def test_socks_4_is_told_what_is_spoken() -> None:
    """The record says which version was used."""
    with pytest.raises(ValueError, match="SOCKS 4, but only SOCKS 5"):
        socks.Server().feed(b"\x04\x01")


@given(
    whole=st.sampled_from([GREETING + NAME, b"\x05\x01\x02\x01\x01u\x01p" + NAME]),
    end=st.integers(min_value=0, max_value=40),
)
def test_it_waits_for_the_rest(whole: bytes, end: int) -> None:
    """The pieces may be cut anywhere, and nothing of an incomplete step is consumed."""
    server = socks.Server()
    first, step, rest = _converse(whole[:end], server)
    answered = first
    if step.target is None:
        more, step, rest = _converse(rest + whole[end:], server)
        answered += more

    assert step.target == Target("example.com", 443)
    assert answered == _converse(whole)[0]
    assert rest == b""


@given(data=st.lists(st.sampled_from([b"\x05", b"\x01", b"\x00", b"\x02", b"\x03", b"\x41", NAME])))
def test_nothing_but_a_value_error_comes_of_any_bytes(data: list[bytes]) -> None:
    """Any bytes raise at most `ValueError`, and no more is consumed than there is."""
    sent = b"".join(data)
    try:
        _, _, rest = _converse(sent)
    except ValueError:
        return
    assert sent.endswith(rest)

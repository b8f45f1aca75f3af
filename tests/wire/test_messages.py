"""The JSON payloads, tolerant towards a newer peer and strict about what they know."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.wire.messages import Exited, Failure, Hello, Welcome, pack, unpack

# With lone surrogates: that is how Python holds a path or an argument that is no UTF-8.
text = st.text(st.characters(), max_size=20)
number = st.integers(-(2**40), 2**40)
messages = st.one_of(
    st.builds(
        Hello, session=text, columns=number, rows=number, terminal=st.booleans(), tail=number
    ),
    st.builds(Welcome, version=text, tty=st.booleans(), interactive=st.booleans(), stdout=number),
    st.builds(Exited, exit_code=st.none() | number, state=text),
    st.builds(Failure, summary=text, hint=st.none() | text, code=text),
)


@given(message=messages)
def test_a_message_survives_the_wire(message: Hello | Welcome | Exited | Failure) -> None:
    """unpack is the inverse of pack."""
    assert unpack(type(message), pack(message)) == message


def test_unknown_fields_are_ignored() -> None:
    """An old supervisor and a new client work together."""
    payload = json.dumps({"session": "main", "a_new_wish": [1, 2]}).encode()
    assert unpack(Hello, payload) == Hello(session="main")


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"[]", b"3", b"{", b"\xff", b"[" * 100_000),
        *(b'{"columns": "80"}', b'{"session": 3}', b'{"tail": null}'),
        *(b'{"columns": true}', b'{"terminal": 1}', b'{"rows": 2.0}'),
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_malformed_messages_are_value_errors(payload: bytes) -> None:
    """Whatever a peer sends, it is one kind of error."""
    with pytest.raises(ValueError):
        unpack(Hello, payload)


@given(payload=st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_value_error(payload: bytes) -> None:
    """Nothing a peer sends is anything else."""
    for kind in (Hello, Welcome, Exited, Failure):
        with contextlib.suppress(ValueError):
            unpack(kind, payload)


def test_a_required_field_that_is_missing_is_named() -> None:
    """The error tells what the peer left out."""
    with pytest.raises(ValueError, match="tty"):
        unpack(Welcome, b'{"version": "1", "interactive": true}')

"""Messages to and from witnesses."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.logs import OURS, RUN
from tests.audit.witnesses import Cosigner

from moat.audit import checkpoint
from moat.audit.submission import (
    MOST_ANSWERED,
    cosignature,
    known_size,
    submission,
    with_signatures,
)

NOTE = checkpoint.signed(RUN, 8, bytes(32), OURS)
W = Cosigner()


def test_a_request_is_as_the_specification_says() -> None:
    """Old size, hashes, an empty line, the note."""
    body = submission(3, [b"\0" * 32, b"\1" * 32], NOTE).decode()
    assert body == (
        f"old 3\n{base64.b64encode(bytes(32)).decode()}\n"
        f"{base64.b64encode(bytes([1]) * 32).decode()}\n\n{NOTE}"
    )
    assert submission(0, [], NOTE).decode() == f"old 0\n\n{NOTE}"


def test_an_answer_with_its_signature() -> None:
    """Lines of other keys are passed over, as the specification demands."""
    stranger = Cosigner(seed=b"\5" * 32)
    body = "".join(f"{each}\n" for each in (stranger.line(NOTE), W.line(NOTE)))
    line = cosignature(body.encode(), NOTE, W.witness)
    assert line == W.line(NOTE)
    assert with_signatures(NOTE, [line]).endswith(f"{line}\n")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no signature of its key"),
        (b"<html>", "no signature of its key"),
        (b"\xff", "not to be believed"),
        (f"{Cosigner(seed=bytes([5]) * 32).line(NOTE)}\n".encode(), "no signature of its key"),
        (f"{W.line(NOTE, text='other')}\n".encode(), "not genuine"),
        (f"{W.line(NOTE, 0)}\n".encode(), "no time"),
        ("\u2014 witness.example/w1 ====\n".encode(), "not to be believed"),
        (b"x" * (MOST_ANSWERED + 1), "too long"),
    ],
)
def test_a_lying_answer(body: bytes, why: str) -> None:
    """Nothing of it is kept."""
    with pytest.raises(ValueError, match=why):
        cosignature(body, NOTE, W.witness)


@given(st.binary(max_size=300))
def test_any_answer_is_taken_or_refused(body: bytes) -> None:
    """No other error comes of it."""
    with pytest.raises(ValueError):
        cosignature(body, NOTE, W.witness)


@pytest.mark.parametrize("body", [b"", b"-1\n", b"01\n", b"1" * 16, b"3\n3\n", b" 3", b"3.0"])
def test_what_is_no_size(body: bytes) -> None:
    """It decides from where a proof is made."""
    with pytest.raises(ValueError):
        known_size(body)


def test_a_size() -> None:
    """With or without its newline."""
    assert known_size(b"0\n") == 0
    assert known_size(b"20852014") == 20852014

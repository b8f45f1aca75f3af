"""Checkpoints, against Go's golang.org/x/mod/sumdb/note."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.audit.sumdb import SUMDB

from moat.audit import checkpoint
from moat.audit.proofs import read_checkpoint, signer_of


class Signer:
    """A key in memory."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()
        self.sign = self._key.sign


GO = Signer(base64.b64decode(SUMDB["seed"]))
RUN = SUMDB["name"].removeprefix("moat/")


def test_the_key_is_named_as_in_go() -> None:
    """Other programs take the public key in the form in which we print it."""
    assert checkpoint.verifier_key(RUN, GO.public) == SUMDB["vkey"]


@pytest.mark.parametrize("vector", SUMDB["notes"])
def test_notes_are_those_of_go(vector: dict[str, str]) -> None:
    """With the same key, the signed note is the same, byte for byte."""
    found = read_checkpoint(vector["note"])
    assert checkpoint.signed(RUN, found.size, found.root, GO) == vector["note"]
    assert found.text == vector["text"]
    assert signer_of(found, [Signer(bytes(32)).public, GO.public]) == GO.public


def test_a_changed_note_has_no_signer() -> None:
    """Another size under the same signature is nobody's statement."""
    note = checkpoint.signed(RUN, 8, bytes(32), GO).replace("\n8\n", "\n9\n")
    assert signer_of(read_checkpoint(note), [GO.public]) is None


def test_a_further_signature_does_no_harm() -> None:
    """A witness adds its own line to a note; an unknown one is passed over (c2sp.org/signed-note)."""
    note = checkpoint.signed(RUN, 8, bytes(32), GO)
    cosigned = f"{note}\u2014 witness.example/w {base64.b64encode(bytes(76)).decode()}\n"
    assert signer_of(read_checkpoint(cosigned), [GO.public]) == GO.public


@pytest.mark.parametrize(
    "note",
    [
        "",
        "moat/1\n1\n",
        "moat/1\n1\nAAAA\n\n— moat/1 AAAA\n",  # a root of three bytes
        f"moat/1\n01\n{'A' * 43}=\n\n— moat/1 AAAA\n",
        f"moat/1\n1\n{'A' * 43}=\n\n- moat/1 AAAA\n",
        f"moat/1\n1\n{'A' * 43}=\n\n— moat/1 AAAA",
        f"moat/1\n1\n{'A' * 43}=\n\n— moat/1 A\n",
    ],
)
def test_what_is_no_checkpoint(note: str) -> None:
    """Half a note, a wrong dash, a number with a zero in front: none is read."""
    with pytest.raises(ValueError):
        read_checkpoint(note)

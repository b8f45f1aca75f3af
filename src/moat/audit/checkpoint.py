"""Checkpoints: C2SP signed notes about the tree of a run's log. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from moat.audit.proofs import key_id

if TYPE_CHECKING:
    from collections.abc import Callable


class Signer(Protocol):
    """The one who signs."""

    @property
    def public(self) -> bytes:
        """The Ed25519 public key."""
        ...

    @property
    def sign(self) -> Callable[[bytes], bytes]: ...


def origin(run: str) -> str:
    """Return the name of a run's log, which is also the name of the key in its notes."""
    return f"moat/{run}"


def signed(run: str, size: int, root: bytes, signer: Signer) -> str:
    """Return the checkpoint of a log."""
    name = origin(run)
    text = f"{name}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = key_id(name, signer.public) + signer.sign(text.encode())
    return f"{text}\n\u2014 {name} {base64.b64encode(signature).decode()}\n"


def verifier_key(run: str, public: bytes) -> str:
    """Return the public key as other programs take it (golang.org/x/mod/sumdb/note)."""
    name = origin(run)
    key = base64.b64encode(b"\x01" + public).decode()
    return f"{name}+{key_id(name, public).hex()}+{key}"


def encoded(note: str) -> bytes:
    """Return a note as a line `checkpoint` has it."""
    return base64.b64encode(note.encode())


def decoded(field: bytes) -> str:
    """Return the note of a line `checkpoint`. Raises `ValueError`."""
    return base64.b64decode(field, validate=True).decode()

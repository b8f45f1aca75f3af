"""Merkle trees, proofs and signed checkpoints, from the side of who checks them. Pure.

This and `verifier` are all that it takes to verify a log; neither uses anything else of Moat. Trees and
proofs are those of RFC 9162 2.1. A checkpoint is a C2SP signed note (c2sp.org/signed-note,
c2sp.org/tlog-checkpoint) with an Ed25519 signature.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SIGNATURE: Final = re.compile("\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})")
_VERIFIER_KEY: Final = re.compile(r"([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_ED25519: Final = b"\x01"
_COSIGNATURE: Final = b"\x04"
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""


def from_base64(text: bytes) -> bytes:
    """Decode base64 with its padding, and nothing besides. Raises `ValueError`."""
    if len(text) % 4 or _BASE64.fullmatch(text) is None:
        raise ValueError("it is not base64")
    return base64.b64decode(text)


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """A Merkle tree to which leaves are appended: of each complete part only the root is kept."""

    __slots__ = ("roots", "size")

    def __init__(self) -> None:
        self.size = 0
        self.roots: list[bytes] = []
        """The roots of complete subtrees, the largest and leftmost first."""

    def append(self, leaf: bytes) -> None:
        size, roots = self.size, self.roots
        while size & 1:
            leaf = hashlib.sha256(b"\1" + roots.pop() + leaf).digest()
            size >>= 1
        roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.roots:
            return hashlib.sha256().digest()
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node_hash(left, root)
        return root


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to (RFC 9162 2.1.3.2); `None`: it leads nowhere."""
    if not 0 <= index < size:
        return None
    at, last, root = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            root = node_hash(each, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, each)
        at, last = at >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether the tree of `first` leaves is the beginning of the other (RFC 9162 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, each)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


# --- checkpoints: signed notes ---


class Checkpoint(NamedTuple):
    """A signed statement: the log of `origin` had `size` entries, with this root."""

    origin: str
    size: int
    root: bytes
    text: str
    """The signed text."""
    signatures: tuple[tuple[str, bytes, bytes], ...]
    """For each signature: the key's name, its id, and the signature itself."""


def key_id(name: str, public: bytes, kind: bytes = _ED25519) -> bytes:
    """Return the four bytes by which a signature names an Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def read_checkpoint(note: str) -> Checkpoint:
    """Read a signed note that is a checkpoint. Raises `ValueError`."""
    text, blank, tail = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or not tail.endswith("\n") or len(lines) < 3:
        raise ValueError("it is no checkpoint")
    signatures: list[tuple[str, bytes, bytes]] = []
    for line in tail[:-1].split("\n"):
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise ValueError("it has a malformed signature")
        data = from_base64(match[2].encode())
        signatures.append((match[1], data[:4], data[4:]))
    if not re.fullmatch("0|[1-9][0-9]{0,14}", lines[1]):
        raise ValueError("it has no size")
    root = from_base64(lines[2].encode())
    if len(root) != 32:
        raise ValueError("it has no root")
    return Checkpoint(lines[0], int(lines[1]), root, f"{text}\n", tuple(signatures))


def signer_of(checkpoint: Checkpoint, keys: Iterable[bytes]) -> bytes | None:
    """Return the public key whose signature the checkpoint carries, `None` if it is none of `keys`.

    Of several signatures by one key the first counts, so that a note can't ask for much work.
    """
    signatures = {(name, number): each for name, number, each in reversed(checkpoint.signatures)}
    for public in keys:
        signature = signatures.get((checkpoint.origin, key_id(checkpoint.origin, public)))
        if signature is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, checkpoint.text.encode())
        except (InvalidSignature, ValueError):
            continue
        return public
    return None


# --- cosignatures: what witnesses say of a checkpoint (c2sp.org/tlog-cosignature) ---


class Witness(NamedTuple):
    """The public key of a witness, which signs checkpoints of logs that have only grown."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key, `name+hash+key` (c2sp.org/signed-note). Raises `ValueError`."""
        match = _VERIFIER_KEY.fullmatch(text)
        if match is None:
            raise ValueError("it has not the form name+hash+key")
        name, number, key = match.groups()
        data = from_base64(key.encode())
        if data[:1] != _COSIGNATURE or len(data) != 33:
            raise ValueError("it is no key for cosignatures with Ed25519")
        if key_id(name, data[1:], _COSIGNATURE).hex() != number:
            raise ValueError("its hash is not that of the key")
        return cls(name, data[1:])

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.public, _COSIGNATURE)


def cosigned_at(checkpoint: Checkpoint, witness: Witness) -> int | None:
    """Return when a witness has signed a checkpoint, in seconds since the epoch; `None`: it has not.

    Raises `ValueError` for a signature that bears its name, and is not its own.
    """
    for name, number, data in checkpoint.signatures:
        if (name, number) != (witness.name, witness.id):
            continue
        moment = int.from_bytes(data[:8])
        text = f"cosignature/v1\ntime {moment}\n{checkpoint.text}".encode()
        try:
            Ed25519PublicKey.from_public_bytes(witness.public).verify(data[8:], text)
        except (InvalidSignature, ValueError):
            raise ValueError(f"the cosignature of {witness.name} is not genuine") from None
        if not 0 < moment <= _LATEST:
            raise ValueError(f"the cosignature of {witness.name} has no time")
        return moment
    return None


def time_of(moment: int) -> str:
    """Return seconds since the epoch as RFC 3339 has it."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def fingerprint(public: bytes) -> str:
    """Return the name under which people compare a public key: SHA-256, shortened to 128 bits."""
    return hashlib.sha256(public).hexdigest()[:32]

"""Proofs about a Merkle tree (RFC 9162 2.1), for those who have all of its leaves. Pure.

`verifier` has the other half: growing trees, and checking proofs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from moat.audit.proofs import node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree of leaf hashes (2.1.1)."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        # A node without a sibling goes up as it is.
        pairs = [node_hash(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]
    return level[0]


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that a leaf is in the tree (2.1.3.1)."""
    proof: list[bytes] = []
    while len(leaves) > 1:
        middle = _split(len(leaves))
        if index < middle:
            proof.append(root(leaves[middle:]))
            leaves = leaves[:middle]
        else:
            proof.append(root(leaves[:middle]))
            leaves = leaves[middle:]
            index -= middle
    return proof[::-1]


def consistency(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that the tree of the `first` leaves is the beginning of this one (2.1.4.1)."""
    proof: list[bytes] = []
    whole = True  # the verifier knows the root of what is left of the first tree
    while first < len(leaves):
        middle = _split(len(leaves))
        if first <= middle:
            proof.append(root(leaves[middle:]))
            leaves = leaves[:middle]
        else:
            proof.append(root(leaves[:middle]))
            leaves = leaves[middle:]
            first -= middle
            whole = False
    if not whole:
        proof.append(root(leaves))
    return proof[::-1]


def _split(size: int) -> int:
    """Return the largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1

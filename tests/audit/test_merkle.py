"""Merkle trees and their proofs, against RFC 9162 and against Go's golang.org/x/mod/sumdb/tlog."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.sumdb import SUMDB

from moat.audit import merkle
from moat.audit.proofs import Frontier, is_consistent, leaf_hash, node_hash, root_of_inclusion

LEAVES = [leaf_hash(each.encode()) for each in SUMDB["leaves"]]
ROOTS = [base64.b64decode(each) for each in SUMDB["roots"]]


def hashes(encoded: list[str] | None) -> list[bytes]:
    return [base64.b64decode(each) for each in encoded or []]


def test_an_empty_tree_has_the_root_of_the_rfc() -> None:
    """RFC 9162 2.1.1: the hash of an empty list is that of an empty string."""
    empty = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert merkle.root([]) == Frontier().root() == empty


def test_roots_are_those_of_go() -> None:
    """Leaf by leaf and all at once, the root is the one that tlog makes."""
    tree = Frontier()
    for count, leaf in enumerate(LEAVES, 1):
        tree.append(leaf)
        assert tree.root() == merkle.root(LEAVES[:count]) == ROOTS[count - 1]
        assert len(tree.roots) == count.bit_count(), "no more is kept than is needed"


@pytest.mark.parametrize("vector", SUMDB["inclusion"])
def test_inclusion_proofs_are_those_of_go(vector: dict) -> None:
    """The proof of a leaf is the same, and leads to the root."""
    size, index = vector["size"], vector["index"]
    proof = merkle.inclusion(LEAVES[:size], index)
    assert proof == hashes(vector["proof"])
    assert root_of_inclusion(LEAVES[index], index, size, proof) == ROOTS[size - 1]


@pytest.mark.parametrize("vector", SUMDB["consistency"])
def test_consistency_proofs_are_those_of_go(vector: dict) -> None:
    """The proof of an earlier tree is the same, and is accepted."""
    first, size = vector["first"], vector["size"]
    proof = merkle.consistency(LEAVES[:size], first)
    assert proof == hashes(vector["proof"])
    assert is_consistent(first, ROOTS[first - 1], size, ROOTS[size - 1], proof)


def test_the_example_of_the_rfc() -> None:
    """RFC 9162 2.1.5: seven leaves, with the proofs that it draws."""
    d = [bytes([n]) * 32 for n in range(7)]
    g, h, i = node_hash(d[0], d[1]), node_hash(d[2], d[3]), node_hash(d[4], d[5])
    k, j = node_hash(g, h), d[6]
    left = node_hash(i, j)
    assert merkle.inclusion(d, 0) == [d[1], h, left]
    assert merkle.inclusion(d, 3) == [d[2], g, left]
    assert merkle.inclusion(d, 4) == [d[5], j, k]
    assert merkle.inclusion(d, 6) == [i, k]
    assert merkle.consistency(d, 3) == [d[2], d[3], g, left]
    assert merkle.consistency(d, 4) == [left]
    assert merkle.consistency(d, 6) == [i, j, k]


@given(st.data())
def test_another_leaf_place_or_tree_is_not_proven(data: st.DataObject) -> None:
    """A proof holds for one leaf at one place of one tree, and for no part of it changed."""
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion(LEAVES[:size], index)
    root = ROOTS[size - 1]
    assert root_of_inclusion(hashlib.sha256(b"other").digest(), index, size, proof) != root
    elsewhere = data.draw(st.integers(-1, 75).filter(lambda at: at != index))
    assert root_of_inclusion(LEAVES[index], elsewhere, size, proof) != root
    assert root_of_inclusion(LEAVES[index], index, size, [*proof, bytes(32)]) is None
    if proof:
        assert root_of_inclusion(LEAVES[index], index, size, proof[:-1]) != root


@given(st.data())
def test_a_forked_tree_is_not_consistent(data: st.DataObject) -> None:
    """No proof makes a tree the beginning of one that has another beginning."""
    size = data.draw(st.integers(2, 70))
    first = data.draw(st.integers(1, size - 1))
    proof = merkle.consistency(LEAVES[:size], first)
    other = hashlib.sha256(b"other").digest()
    assert is_consistent(first, ROOTS[first - 1], size, ROOTS[size - 1], proof)
    assert not is_consistent(first, other, size, ROOTS[size - 1], proof)
    assert not is_consistent(first, ROOTS[first - 1], size, other, proof)
    assert not is_consistent(first, ROOTS[first - 1], size, ROOTS[size - 1], [*proof, other])
    assert not is_consistent(first, ROOTS[first - 1], size, ROOTS[size - 1], proof[:-1])


def test_consistency_of_nothing_and_of_the_same() -> None:
    """No tree is proven by an empty one or by a larger one; the same tree needs no proof."""
    assert not is_consistent(0, merkle.root([]), 3, ROOTS[2], [])
    assert not is_consistent(4, ROOTS[3], 3, ROOTS[2], [])
    assert is_consistent(3, ROOTS[2], 3, ROOTS[2], [])
    assert not is_consistent(3, ROOTS[2], 3, ROOTS[2], [ROOTS[0]])
    assert not is_consistent(3, ROOTS[2], 5, ROOTS[4], [])

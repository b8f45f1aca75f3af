"""The snapshots that have to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moat.workspace.history.record import ASKED, Head
from moat.workspace.history.retention import beyond, expired

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
reasons = st.sampled_from([ASKED, "detach", "end", "restore"])
ages = st.integers(0, 900)
histories = st.lists(st.tuples(reasons, ages), max_size=12).map(
    lambda given: [
        Head(number, NOW - age * SECOND, reason) for number, (reason, age) in enumerate(given, 1)
    ]
)


@given(histories, st.integers(1, 5), st.none() | st.floats(0, 900))
def test_what_expires(heads: list[Head], keep: int, max_age: float | None) -> None:
    """Never what a user has asked for, nor the newest; what is left isn't more or older than wanted."""
    gone = set(expired(heads, keep, max_age, NOW))
    left = [head for head in heads if head.number not in gone and head.reason != ASKED]
    assert all(head.reason != ASKED for head in heads if head.number in gone)
    assert len(left) <= keep
    own = [head for head in heads if head.reason != ASKED]
    assert own[-1:] == left[-1:]
    if max_age is not None:
        assert all(NOW - head.taken_at <= max_age * SECOND for head in left[:-1])
    else:
        assert len(left) == min(keep, len(own))


@given(histories, st.integers(0, 12))
def test_the_newest_are_kept(heads: list[Head], keep: int) -> None:
    """Whoever prunes by number gets exactly that, whatever the reasons were."""
    gone = beyond(heads, keep, None, NOW)
    assert gone == [head.number for head in heads][: max(len(heads) - keep, 0)]

"""The ended runs that bounds leave room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moat.runs.retention import EndedRun, Retention

NOW = 1_000_000.0
RUNS = st.lists(
    st.builds(
        EndedRun,
        st.uuids().map(str),
        st.floats(0, NOW, allow_nan=False),
        st.integers(0, 1 << 30),
    ),
    max_size=20,
)


def test_each_bound_removes_what_is_beyond_it() -> None:
    """The oldest first."""
    runs = [EndedRun(str(number), NOW - number * 100, 10) for number in range(6)]
    assert Retention(runs=4).beyond(runs, NOW) == ["5", "4"]
    assert Retention(age=400).beyond(runs, NOW) == ["5", "4"]
    assert Retention(size=45).beyond(runs, NOW) == ["5", "4"]
    assert Retention(runs=0).beyond(runs, NOW) == ["5", "4", "3", "2", "1", "0"]
    assert Retention(age=1000, runs=5, size=20).beyond(runs, NOW) == ["5", "4", "3", "2"]


def test_without_bounds_nothing_is_removed() -> None:
    """A set of bounds that are all left open is no bound."""
    assert Retention().beyond([EndedRun("1", 0.0, 1 << 50)], NOW) == []
    assert not Retention().limited
    assert Retention(age=0.0).limited


@given(
    runs=RUNS,
    age=st.none() | st.floats(0, NOW),
    count=st.none() | st.integers(0, 20),
    size=st.none() | st.integers(0, 1 << 32),
)
def test_what_is_left_is_within_all_bounds_and_newer_than_what_goes(
    runs: list[EndedRun], age: float | None, count: int | None, size: int | None
) -> None:
    """No newer run goes while an older one stays."""
    beyond = set(Retention(age, count, size).beyond(runs, NOW))
    kept = [run for run in runs if run.id not in beyond]
    gone = [run for run in runs if run.id in beyond]
    assert count is None or len(kept) <= count
    assert age is None or all(NOW - run.ended_at < age for run in kept)
    assert size is None or sum(run.size for run in kept) <= size
    if kept and gone:
        assert max(run.ended_at for run in gone) <= min(run.ended_at for run in kept)

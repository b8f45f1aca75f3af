"""The table of states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.runs.states import ENDED, TRANSITIONS, Happened, IllegalTransitionError, State, after


def test_every_state_has_a_row() -> None:
    """A forgotten state would be a dead end by accident."""
    assert set(TRANSITIONS) == set(State)


def test_the_ends_are_final() -> None:
    """A stopped run never runs again, and a lost exit status is never found."""
    assert {State.STOPPED, State.FAILED, State.LOST} == ENDED


@given(happenings=st.lists(st.sampled_from(Happened), max_size=12))
def test_every_path_follows_the_table(happenings: list[Happened]) -> None:
    """Each step from `created` is in the table, or is refused without effect."""
    state = State.CREATED
    for happened in happenings:
        allowed = TRANSITIONS[state]
        if happened in allowed:
            state = after(state, happened)
            assert state is allowed[happened]
        else:
            with pytest.raises(IllegalTransitionError):
                after(state, happened)


def test_every_state_can_be_reached() -> None:
    """No row is unreachable."""
    reached, frontier = {State.CREATED}, [State.CREATED]
    while frontier:
        for state in TRANSITIONS[frontier.pop()].values():
            if state not in reached:
                reached.add(state)
                frontier.append(state)
    assert reached == set(State)


def test_an_illegal_step_names_both_sides() -> None:
    """The message names the state and the event."""
    with pytest.raises(IllegalTransitionError, match="run is lost: command_exited"):
        after(State.LOST, Happened.COMMAND_EXITED)

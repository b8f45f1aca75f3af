"""The life of a run as a table of states. Pure.

The supervisor asks `after` for the next state and gives it to the store; no other code changes a state.
docs/architecture.md shows the table, and tests/test_docs.py keeps the two equal.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    CREATED = auto()
    """Specified and in the index, but nothing of it is running."""
    STARTING = auto()
    """The sandbox is being made; the command hasn't begun."""
    RUNNING = auto()
    STOPPING = auto()
    """A stop was requested; the command hasn't ended yet."""
    STOPPED = auto()
    """The command ended and its exit status was read."""
    FAILED = auto()
    """The sandbox couldn't be made; the command never began."""
    LOST = auto()
    """The sandbox is gone and its exit status is unknown."""


class Happened(StrEnum):
    START_REQUESTED = auto()
    COMMAND_STARTED = auto()
    START_FAILED = auto()
    STOP_REQUESTED = auto()
    COMMAND_EXITED = auto()
    SANDBOX_VANISHED = auto()


TRANSITIONS: Final[Mapping[State, Mapping[Happened, State]]] = {
    State.CREATED: {
        Happened.START_REQUESTED: State.STARTING,
    },
    State.STARTING: {
        Happened.COMMAND_STARTED: State.RUNNING,
        Happened.START_FAILED: State.FAILED,
        Happened.STOP_REQUESTED: State.STOPPING,
        # The supervisor died after it asked the shim and before it heard that the command had begun;
        # the shim has died since.
        Happened.SANDBOX_VANISHED: State.LOST,
    },
    State.RUNNING: {
        Happened.STOP_REQUESTED: State.STOPPING,
        Happened.COMMAND_EXITED: State.STOPPED,
        Happened.SANDBOX_VANISHED: State.LOST,
    },
    State.STOPPING: {
        Happened.COMMAND_EXITED: State.STOPPED,
        Happened.START_FAILED: State.FAILED,
        Happened.SANDBOX_VANISHED: State.LOST,
    },
    # Nothing leads out of these three. A stopped run never runs again (that would be a new run), and an
    # exit status that was missed can't become known later.
    State.STOPPED: {},
    State.FAILED: {},
    State.LOST: {},
}

ENDED: Final = frozenset(state for state, ways_out in TRANSITIONS.items() if not ways_out)


class IllegalTransitionError(RuntimeError):
    """A step that the table doesn't have: a bug in Moat."""


def after(state: State, happened: Happened) -> State:
    """Return the next state. Raises `IllegalTransitionError` where the table has none."""
    try:
        return TRANSITIONS[state][happened]
    except KeyError:
        raise IllegalTransitionError(f"run is {state}: {happened} can't follow") from None

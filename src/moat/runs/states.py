"""The life of a run, as a table.

Pure: no clock, no store. The supervisor asks `after` and hands the answer to the store; nobody else
changes a state. docs/architecture.md shows the table; tests/test_docs.py keeps the two equal.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    CREATED = auto()
    """Specified and in the index; nothing of it runs."""
    STARTING = auto()
    """The sandbox is being made; the command has not begun."""
    RUNNING = auto()
    STOPPING = auto()
    """A stop was asked for; the command has not ended yet."""
    STOPPED = auto()
    """The command ended and its exit status was read."""
    FAILED = auto()
    """The sandbox could not be made; the command never began."""
    LOST = auto()
    """The sandbox is gone and nobody saw the exit status."""


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
        # The supervisor died between asking the shim and hearing that the command began; the shim
        # died since.
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
    # Nothing leads out of these three. A stopped run never runs again (that is a new run), and an
    # exit status that nobody saw can't become known later.
    State.STOPPED: {},
    State.FAILED: {},
    State.LOST: {},
}

ENDED: Final = frozenset(state for state, ways_out in TRANSITIONS.items() if not ways_out)


class IllegalTransitionError(RuntimeError):
    """The supervisor asked for a step that the table doesn't have: a bug of ours."""


def after(state: State, happened: Happened) -> State:
    """The state that follows. Raises `IllegalTransitionError` where the table has none."""
    try:
        return TRANSITIONS[state][happened]
    except KeyError:
        raise IllegalTransitionError(f"run is {state}: {happened} can't follow") from None

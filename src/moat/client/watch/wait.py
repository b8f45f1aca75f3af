"""Waiting for a run to end, to be quiet, or to show a text.

The supervisor says when there is new output; whether it matches is decided here, so that a regular
expression of the user's can't hold up the run.
"""

from __future__ import annotations

import re
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.display.screen import read_text
from moat.errors import RunNotActiveError, UsageError

if TYPE_CHECKING:
    from moat.runs.store import Run, Store


class WaitResult(Enum):
    EXIT = auto()
    """The run has ended, which may not be what was waited for."""
    IDLE = auto()
    TEXT = auto()
    TIMEOUT = auto()


_RESULTS: Final = {
    "exit": WaitResult.EXIT,
    "idle": WaitResult.IDLE,
    "timeout": WaitResult.TIMEOUT,
}


def wait_for_exit(store: Store, run: Run, timeout: float | None) -> WaitResult:
    """Wait until the run has ended, for at most `timeout` seconds."""
    return _wait(store, run, timeout, what="exit")


def wait_for_idle(store: Store, run: Run, seconds: float, timeout: float | None) -> WaitResult:
    """Wait until nothing has been written for so many seconds."""
    return _wait(store, run, timeout, what="idle", seconds=seconds)


def wait_for_text(store: Store, run: Run, pattern: str, timeout: float | None) -> WaitResult:
    """Wait until the screen, or the output of a run without a TTY, matches a regular expression.

    What is there already counts.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as exc:
        raise UsageError(f"{pattern!r} is not a regular expression: {exc}") from exc
    client = SupervisorClient(store.home, store.folder(run.id))
    deadline = None if timeout is None else time.monotonic() + timeout
    outputs = -1
    while True:
        # The count comes before the text: output that is not in this text is in a later count.
        try:
            answer = client.get(
                "/v1/wait", deadline=deadline, **{"for": "output", "after": outputs}
            )
        except RunNotActiveError:
            answer = {"happened": "exit", "outputs": outputs}
        outputs = answer["outputs"]
        if wanted.search(read_text(store, run)):
            return WaitResult.TEXT
        if answer["happened"] in ("exit", "timeout"):
            return _RESULTS[answer["happened"]]


def _wait(
    store: Store, run: Run, timeout: float | None, what: str, seconds: float | None = None
) -> WaitResult:
    if store.get(run.id).ended:
        return WaitResult.EXIT
    client = SupervisorClient(store.home, store.folder(run.id))
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        answer = client.get("/v1/wait", deadline=deadline, **{"for": what, "seconds": seconds})
    except RunNotActiveError:
        return WaitResult.EXIT
    return _RESULTS[answer["happened"]]

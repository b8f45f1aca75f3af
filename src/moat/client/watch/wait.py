"""Waiting for something to happen in a run.

The supervisor says when there is something new; what it means is found out here, so that a regular
expression of the user's can't hold up the run.
"""

from __future__ import annotations

import re
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from moat.client.connect.request import Supervised
from moat.client.screens import text_of_run
from moat.errors import RunNotActiveError, UsageError

if TYPE_CHECKING:
    from moat.runs.store import Run, Store


class Happened(Enum):
    EXIT = auto()
    IDLE = auto()
    TEXT = auto()
    TIMEOUT = auto()


_HAPPENED: Final = {"exit": Happened.EXIT, "idle": Happened.IDLE, "timeout": Happened.TIMEOUT}


def for_exit(store: Store, run: Run, timeout: float | None) -> Happened:
    return _wait(store, run, timeout, what="exit")


def for_idle(store: Store, run: Run, seconds: float, timeout: float | None) -> Happened:
    """Until nothing was written for so many seconds."""
    return _wait(store, run, timeout, what="idle", seconds=seconds)


def for_text(store: Store, run: Run, pattern: str, timeout: float | None) -> Happened:
    """Until the screen (of a TTY run) or the output matches; what is there already counts."""
    try:
        wanted = re.compile(pattern)
    except re.error as exc:
        raise UsageError(f"{pattern!r} is not a regular expression: {exc}") from exc
    ask = Supervised(store.home, store.folder(run.id))
    deadline = None if timeout is None else time.monotonic() + timeout
    seen = -1
    while True:
        # The count first: what is written after it was asked for shows in the next one.
        try:
            answer = ask.get("/v1/wait", deadline=deadline, **{"for": "output", "after": seen})
        except RunNotActiveError:
            answer = {"happened": "exit", "outputs": seen}
        seen = answer["outputs"]
        if wanted.search(text_of_run(store, run)):
            return Happened.TEXT
        if answer["happened"] in ("exit", "timeout"):
            return _HAPPENED[answer["happened"]]


def _wait(
    store: Store, run: Run, timeout: float | None, what: str, seconds: float | None = None
) -> Happened:
    if store.get(run.id).ended:
        return Happened.EXIT
    ask = Supervised(store.home, store.folder(run.id))
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        answer = ask.get("/v1/wait", deadline=deadline, **{"for": what, "seconds": seconds})
    except RunNotActiveError:
        return Happened.EXIT
    return _HAPPENED[answer["happened"]]

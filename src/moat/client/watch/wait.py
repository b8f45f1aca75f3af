"""Waiting for a run to end, to be quiet, to want its user, or to show a text.

The supervisor says when there is new output; whether it matches is decided here, so that a regular
expression of the user's can't hold up the run.
"""

from __future__ import annotations

import re
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.display.screen import read_text
from moat.errors import RunNotActiveError, UsageError
from moat.paths import MAIN_SESSION
from moat.runs import session_records

if TYPE_CHECKING:
    from moat.runs.store import Run, Store


class WaitResult(Enum):
    EXIT = auto()
    """The run has ended, which may not be what was waited for."""
    INPUT = auto()
    IDLE = auto()
    TEXT = auto()
    TIMEOUT = auto()


_RESULTS: Final = {
    "exit": WaitResult.EXIT,
    "idle": WaitResult.IDLE,
    "input": WaitResult.INPUT,
    "timeout": WaitResult.TIMEOUT,
}


def wait_for_exit(
    store: Store, run: Run, timeout: float | None, session: str = MAIN_SESSION
) -> WaitResult:
    """Wait until the session has ended, for at most `timeout` seconds."""
    return _wait(store, run, timeout, session, {"for": "exit"})


def wait_for_idle(
    store: Store, run: Run, seconds: float, timeout: float | None, session: str = MAIN_SESSION
) -> WaitResult:
    """Wait until the session has written nothing for so many seconds."""
    return _wait(store, run, timeout, session, {"for": "idle", "seconds": seconds})


def wait_for_input(store: Store, run: Run, timeout: float | None) -> tuple[WaitResult, str]:
    """Wait until the run waits for its user; return for what, too (`agents.waiting.KINDS`)."""
    answer = _answer(store, run, timeout, MAIN_SESSION, {"for": "input"})
    return _RESULTS[answer["happened"]], answer.get("waits_for", "")


def wait_for_text(
    store: Store, run: Run, pattern: str, timeout: float | None, session: str = MAIN_SESSION
) -> WaitResult:
    """Wait until the screen, or the output of a session without a TTY, matches a regular expression.

    What is there already counts.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as exc:
        raise UsageError(f"{pattern!r} is not a regular expression: {exc}") from exc
    client = SupervisorClient(store.home, store.folder(run.id))
    deadline = None if timeout is None else time.monotonic() + timeout
    outputs = -1
    session_records.find(store, run, session)
    query: dict[str, str | float | None] = {"for": "output", "session": session}
    while True:
        # The count comes before the text: output that is not in this text is in a later count.
        try:
            answer = client.get("/v1/wait", deadline=deadline, **query, after=outputs)
        except RunNotActiveError:
            answer = {"happened": "exit", "outputs": outputs}
        outputs = answer["outputs"]
        if wanted.search(read_text(store, run, session)):
            return WaitResult.TEXT
        if answer["happened"] in ("exit", "timeout"):
            return _RESULTS[answer["happened"]]


def _wait(
    store: Store,
    run: Run,
    timeout: float | None,
    session: str,
    query: dict[str, str | float | None],
) -> WaitResult:
    return _RESULTS[_answer(store, run, timeout, session, query)["happened"]]


def _answer(
    store: Store,
    run: Run,
    timeout: float | None,
    session: str,
    query: dict[str, str | float | None],
) -> dict[str, Any]:
    """Return what the supervisor says has happened, or that the session has ended."""
    if session_records.find(store, store.get(run.id), session).ended:
        return {"happened": "exit"}
    client = SupervisorClient(store.home, store.folder(run.id))
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        return client.get("/v1/wait", deadline=deadline, **query, session=session)
    except RunNotActiveError:
        return {"happened": "exit"}

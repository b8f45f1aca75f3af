"""The run that a command is about, and its supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.errors import UsageError
from moat.paths import MAIN_SESSION

if TYPE_CHECKING:
    from moat.client.connect.supervisor_client import SupervisorClient
    from moat.runs.store import Run, Store


def find(store: Store, reference: str | None) -> Run:
    """Find a run; without a reference, the newest that has not ended, or else the newest."""
    return store.newest_active() if reference is None else store.find(reference)


def find_session(
    store: Store, reference: str | None, session: str | None = None
) -> tuple[Run, str]:
    """Find a run as `find` does, and return it with the name of the session that is meant.

    `reference` may name the session behind a slash; `session` is the value of `--session`. Raise
    `UsageError` where they differ. Whether there is such a session is not looked up.
    """
    run, slash, named = (reference or "").partition("/")
    if slash and session not in (None, named):
        raise UsageError(
            f"{reference} and --session {session} are two sessions", "Give one of them"
        )
    if slash and not (run and named):
        raise UsageError(f"{reference!r} names no session", "Write it like my-run/exec-1")
    return find(store, None if reference is None else run), session or named or MAIN_SESSION


def supervisor_of(store: Store, run: Run) -> SupervisorClient:
    from moat.client.connect.supervisor_client import (  # noqa: PLC0415  ended runs need none
        SupervisorClient,
    )

    return SupervisorClient(store.home, store.folder(run.id))

"""The question whether a run's work is in its copy of the workspace alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.errors import MoatError
from moat.workspace.applying import Application
from moat.workspace.frozen_changes import changes_of

if TYPE_CHECKING:
    from moat.runs.store import Store


def has_unapplied(store: Store, run_id: str) -> bool:
    """Return whether a run that has ended left something in its copy that isn't in the workspace.

    Folders that tools fill don't count. Where it can't be told, it has: the run's specification may be
    damaged.
    """
    run = store.folder(run_id)
    try:
        with (
            changes_of(run, ended=True) as (changes, _),
            Application(store.spec(run_id), run, changes.changes) as application,
        ):
            if changes.notes:  # not all of it was compared
                return True
            return application.has_commits() or any(application.left_behind())
    except MoatError:
        return True

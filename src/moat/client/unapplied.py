"""The question whether a run's work is in its copy of the workspace alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.errors import MoatError
from moat.workspace.applying import Application
from moat.workspace.frozen_changes import changes_of

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.spec import RunSpec


def has_unapplied(spec: RunSpec, run: RunFolder) -> bool:
    """Return whether a run that has ended left something in its copy that isn't in the workspace.

    Folders that tools fill don't count. Where it can't be told, it has.
    """
    try:
        with (
            changes_of(run, ended=True) as (changes, _),
            Application(spec, run, changes.changes) as application,
        ):
            if changes.notes:  # not all of it was compared
                return True
            return application.has_commits() or any(application.left_behind())
    except MoatError:
        return True

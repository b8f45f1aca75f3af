"""A last look at what a run is to write, before its sandbox is made.

The client has looked already, at its own interpreter and with the user's environment. The supervisor
has another import path, knows the repository of a linked worktree, and starts programs of its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.engines.under_shim import secret_paths
from moat.errors import UsageError
from moat.ground.areas import is_in
from moat.ground.check import Surroundings, check_areas
from moat.paths import moat_home
from moat.workspace.covers import workspace_folder
from moat.workspace.git_layout import repository_of_worktree

if TYPE_CHECKING:
    from moat.spec import RunSpec


def check_writable(spec: RunSpec, path: str, *programs: str) -> None:
    """Refuse a run that could write what the host obeys, or read the user's secrets.

    `path` is the user's PATH, `programs` are those that Moat starts for the run. Raises `UsageError`.
    """
    workspace = workspace_folder(spec)
    repository = repository_of_worktree(workspace)
    around = Surroundings(
        store=str(moat_home()), environment={**os.environ, "PATH": path}, programs=programs
    )
    others = () if repository is None else (str(repository),)
    check_areas(spec.workspace, spec.mounts, around, others=others)
    _refuse_secrets(os.path.realpath(spec.workspace))


def _refuse_secrets(workspace: str) -> None:
    """Refuse a workspace that is a program's store of secrets, or holds one."""
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111
    for name, program in secret_paths.HOME.items():
        path = f"{home}/{name}"
        if is_in(workspace, path) or is_in(path, workspace):
            raise UsageError(
                f"workspace {workspace} would show {path}, which may hold secrets ({program})",
                "copy what is needed to a folder of its own, and work there",
            )

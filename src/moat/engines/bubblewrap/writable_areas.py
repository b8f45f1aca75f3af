"""A last look at what a run is to write, before its sandbox is laid out.

The client has looked already, at its own interpreter and with the user's environment. The supervisor
has another import path, knows the repository of a linked worktree, and starts bubblewrap.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.engines.bubblewrap import secret_paths
from moat.engines.bubblewrap.host_checks import require_bubblewrap
from moat.errors import UsageError
from moat.ground.areas import is_in
from moat.ground.check import Surroundings, check_areas
from moat.paths import moat_home
from moat.workspace.covers import workspace_folder
from moat.workspace.git_layout import repository_of_worktree

if TYPE_CHECKING:
    from moat.spec import RunSpec


def trusted_bubblewrap(spec: RunSpec) -> str:
    """Return the path of `bwrap`, which the run can't write, nor anything else that the host obeys.

    Raises `EngineError` and `UsageError`.
    """
    bwrap = require_bubblewrap(spec.bubblewrap.program)
    workspace = workspace_folder(spec)
    repository = repository_of_worktree(workspace)
    around = Surroundings(
        store=str(moat_home()),
        environment={**os.environ, "PATH": spec.bubblewrap.host_path},
        programs=(bwrap,),
    )
    others = () if repository is None else (str(repository),)
    check_areas(spec.workspace, spec.mounts, around, others=others)
    _refuse_secrets(str(workspace))
    return bwrap


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

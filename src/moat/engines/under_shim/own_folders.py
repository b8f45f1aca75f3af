"""The folders of the user that every sandbox has to do with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from moat.errors import UsageError
from moat.paths import moat_home, worktrees_folder
from moat.workspace.beneath import overlap
from moat.workspace.covers import workspace_folder

if TYPE_CHECKING:
    from moat.spec import RunSpec


@dataclass(frozen=True, slots=True)
class OwnFolders:
    """The workspace, and Moat's store, which no sandbox shows; symbolic links are resolved."""

    workspace: Path
    store: Path
    """MOAT_HOME."""

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """Raise `UsageError` if the workspace would show the store."""
        own = cls(workspace_folder(spec), Path(os.path.realpath(moat_home())))
        is_worktree = worktrees_folder(own.store) in own.workspace.parents
        if overlap(own.workspace, own.store) and not is_worktree:
            raise UsageError(
                f"workspace {spec.workspace} would show {own.store}, where Moat keeps its runs",
                "work in a folder below it, or set MOAT_HOME to a folder elsewhere",
            )
        return own

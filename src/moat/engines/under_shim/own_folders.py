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
    """The folder that the sandbox shows as its workspace."""
    store: Path
    """MOAT_HOME."""
    original: Path
    """The user's workspace: `workspace` itself, or what that is a copy of."""

    def shown(self, source: Path) -> Path:
        """Return what a run sees of a path of the host: one in the workspace that was copied, there."""
        if self.workspace != self.original and source.is_relative_to(self.original):
            return self.workspace / source.relative_to(self.original)
        return source

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """Raise `UsageError` if the workspace would show the store."""
        store, original = (Path(os.path.realpath(each)) for each in (moat_home(), spec.workspace))
        own = cls(workspace_folder(spec), store, original)
        is_worktree = worktrees_folder(own.store) in own.original.parents
        if overlap(own.original, own.store) and not is_worktree:
            raise UsageError(
                f"workspace {spec.workspace} would show {own.store}, where Moat keeps its runs",
                "work in a folder below it, or set MOAT_HOME to a folder elsewhere",
            )
        return own

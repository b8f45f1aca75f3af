"""The copies of workspaces that runs work on: `moat run --copy`.

    $MOAT_HOME/runs/ID/workspace            the copy, which the run sees as /workspace
    $MOAT_HOME/runs/ID/copied.manifest      the user's workspace as it was copied, where no run writes

Every start loads this module, and only one that makes a copy loads more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from moat.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.spec import RunSpec
    from moat.workspace.copying import Copied

_QUIET_S: Final = 2.0
_NAMED: Final = 5
"""Paths that were not copied and are named; of more, the number is told."""


class WorkspaceCopies:
    """Copies workspaces into a store. Implements `config.workspace_mode.WorkspaceCopier`."""

    def __init__(self, home: Path, tell: Callable[[str], None]) -> None:
        """`tell` tells the user what was copied, and what was not."""
        self._home = home
        self._tell = tell

    def place(self, run_id: str) -> str:
        return str(self._folder(run_id).copy)

    def fill(self, spec: RunSpec) -> None:
        """Copy the workspace of a run that is being made. Raises `MoatError`."""
        from moat.atomic import replace_file  # noqa: PLC0415  for copies alone
        from moat.workspace.copying import copy_workspace  # noqa: PLC0415
        from moat.workspace.manifest import dumps  # noqa: PLC0415

        folder = self._folder(spec.id)
        progress = _Progress(self._tell, spec.workspace)
        copied = copy_workspace(spec.workspace, folder.copy, spec.exclude, progress)
        replace_file(folder.copied_manifest, dumps(copied.manifest), durable=False)
        for line in _report(spec, copied):
            self._tell(line)

    def _folder(self, run_id: str) -> RunFolder:
        return RunFolder(self._home / "runs" / run_id)


class _Progress:
    """Says once, after a while, that copying takes long."""

    def __init__(self, tell: Callable[[str], None], workspace: str) -> None:
        self._tell = tell
        self._workspace = workspace
        self._due: float | None = time.monotonic() + _QUIET_S

    def __call__(self) -> None:
        if self._due is not None and time.monotonic() > self._due:
            self._due = None
            self._tell(f"copying {self._workspace!r}, which takes a while")


def _report(spec: RunSpec, copied: Copied) -> list[str]:
    from moat.printable import printable  # noqa: PLC0415  as above

    shared = ", shared with it until they change" if copied.shared else ""
    lines = [
        f"the run works on a copy of {printable(spec.workspace)} ({copied.files} files{shared})"
    ]
    lines += [f"not copied: {printable(path)} {why}" for path, why in copied.skipped[:_NAMED]]
    if len(copied.skipped) > _NAMED:
        lines.append(f"not copied: {len(copied.skipped) - _NAMED} more")
    return lines

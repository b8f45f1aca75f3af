"""What a run has put where git looks for orders, and nothing was before.

A path that exists is covered (`workspace`); one that does not can't be, without leaving an empty file
in the user's repository. So the names that were free at the start are remembered, and what stands there
at the end is removed: `.git/commondir`, for one, sends the host's next `git status` to a folder of
the agent's making, and that folder's configuration names programs to run.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moat.engines.mounts import SymbolicLinkError, open_beneath, open_folder
from moat.engines.workspace import trusted, workspace_folder
from moat.runs.emptying import empty

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.spec import RunSpec


def remember_free_names(spec: RunSpec, folder: RunFolder) -> None:
    """Before the start: notes which of git's names in the workspace are not taken."""
    if spec.writable_git:
        return
    root = workspace_folder(spec)
    free = [
        str(path)
        for path in trusted(root)
        if path.parts[0] == ".git" and not os.path.lexists(root / path)
    ]
    folder.free_names.write_text(json.dumps({"root": str(root), "names": free}))


def remove_planted(folder: RunFolder) -> list[str]:
    """After the end: removes what stands there now; its names. Follows no symbolic link."""
    try:
        noted = json.loads(folder.free_names.read_text())
    except FileNotFoundError:
        return []
    root = Path(noted["root"])
    removed = [name for name in noted["names"] if _remove(root, PurePosixPath(name))]
    folder.free_names.unlink()
    return removed


def _remove(root: Path, path: PurePosixPath) -> bool:
    try:
        with open_folder(root) as opened, open_beneath(opened, path.parent) as parent:
            mode = os.stat(path.name, dir_fd=parent.descriptor, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                empty(Path(f"/proc/self/fd/{parent.descriptor}", path.name))
                os.rmdir(path.name, dir_fd=parent.descriptor)
            else:
                os.unlink(path.name, dir_fd=parent.descriptor)
    except (FileNotFoundError, NotADirectoryError, SymbolicLinkError):
        return False  # nothing is there, or no way to it that git would take as this repository's
    return True

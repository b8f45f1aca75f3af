"""The place of Moat's own files, found without any import that takes time."""

from __future__ import annotations

import os

WORKTREES = "worktrees"
"""The folder in it with worktrees that runs have for workspaces: nothing there is obeyed."""


def home_path() -> str:
    """Return the absolute path of the store: `$MOAT_HOME`, or else `~/.moat`."""
    chosen = os.environ.get("MOAT_HOME")
    return os.path.abspath(os.path.expanduser(chosen or "~/.moat"))  # noqa: PTH100, PTH111  keeps symlinks

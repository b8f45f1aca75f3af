"""The table of paths that programs on the host obey unasked, and of what is done about each. Pure data.

A program obeys a path unasked if it runs or trusts what is there because of the path alone: when the
user opens the folder, enters it in a shell, or looks at the repository's status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Protection(Enum):
    """What is done about a path."""

    READ_ONLY = auto()
    """Read-only while the run lives, if it exists. If it is a symbolic link, the run is refused."""
    RESTORED = auto()
    """Read-only likewise, and after the run what it was: a new or changed file is put aside."""
    REVIEWED = auto()
    """Read-only likewise, and after the run new settings are taken out unless they are harmless."""


@dataclass(frozen=True, slots=True)
class PathRule:
    path: str
    program: str
    """The program that obeys the path."""
    protection: Protection
    reason: str
    """What a hostile run could do with the path."""
    twin: str | None = None
    """Another name for the same file. With one of the two there, a run may not leave the other."""


PROJECT: Final = (
    PathRule("agent.yaml", "Moat", Protection.READ_ONLY, "starts runs as it says", "moat.yaml"),
    PathRule("moat.yaml", "Moat", Protection.READ_ONLY, "starts runs as it says", "agent.yaml"),
    PathRule(".envrc", "direnv", Protection.READ_ONLY, "is run by a shell that enters the folder"),
    PathRule(".vscode", "VS Code", Protection.READ_ONLY, "tasks and settings that name programs"),
    PathRule(".idea", "JetBrains IDEs", Protection.READ_ONLY, "run configurations and tools"),
)
"""Paths in a project, relative to the folder that a program takes for one."""

GIT: Final = (
    PathRule(
        "config", "git", Protection.REVIEWED, "names programs, hooks and other configurations"
    ),
    PathRule("config.worktree", "git", Protection.REVIEWED, "the same for one worktree"),
    PathRule("hooks", "git", Protection.RESTORED, "programs that git runs"),
    PathRule("commondir", "git", Protection.RESTORED, "names another git folder to obey"),
    PathRule("gitdir", "git", Protection.RESTORED, "names another worktree"),
)
"""Paths in a git folder."""

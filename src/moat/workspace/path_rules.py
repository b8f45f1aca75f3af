"""The table of paths that programs on the host obey unasked, and of what is done about each. Pure.

A program obeys a path unasked if it runs or trusts what is there because of the path alone: when the
user opens the folder, enters it in a shell, commits, or starts an agent in it. What the user runs on
purpose isn't here: build scripts, tests, `package.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Protection(Enum):
    """The treatment of a path."""

    READ_ONLY = auto()
    """Read-only while the run lives, if it exists. What is new or changed afterwards is reported."""
    WATCHED = auto()
    """Writable. What is new or changed afterwards is reported."""
    RESTORED = auto()
    """Read-only, and afterwards what it was: a new or changed file is put aside."""
    REVIEWED = auto()
    """Read-only, and afterwards new settings are taken out unless they are harmless."""


@dataclass(frozen=True, slots=True)
class PathRule:
    path: str
    """Relative. The name may have a `*`; where it is the whole path, the `*` comes first."""
    program: str
    """The program that obeys the path."""
    reason: str
    """The use that a hostile run could make of the path."""
    protection: Protection = Protection.READ_ONLY
    refuses_links: bool = False
    """True if a run is refused when the path, at the top of the workspace, is a symbolic link."""
    twin: str | None = None
    """Another name for the same file. With one of the two there, a run may not leave the other."""


_RUN = "says what the next run executes, reads and reaches"
_TASKS = "starts tasks and programs when the folder is opened"
_SERVERS = "starts servers and hooks with the next session"
_HOOKS = "is run by a git commit or push"
_SHELL = "is run by a shell that enters the folder"
_EDIT = "is run by an editor that opens a file here"

PROJECT: Final = (
    PathRule("agent.yaml", "Moat", _RUN, refuses_links=True, twin="moat.yaml"),
    PathRule("moat.yaml", "Moat", _RUN, refuses_links=True, twin="agent.yaml"),
    # Shells.
    PathRule(".envrc", "direnv", _SHELL, refuses_links=True),
    PathRule("mise.toml", "mise", _SHELL),
    PathRule("mise.local.toml", "mise", _SHELL),
    PathRule(".mise.toml", "mise", _SHELL),
    PathRule(".mise.local.toml", "mise", _SHELL),
    PathRule(".mise/config*.toml", "mise", _SHELL),
    PathRule(".mise/tasks", "mise", _SHELL),
    PathRule(".config/mise.toml", "mise", _SHELL),
    PathRule(".config/mise", "mise", _SHELL),
    PathRule("flake.nix", "direnv and Nix", _SHELL, Protection.WATCHED),
    PathRule("shell.nix", "direnv and Nix", _SHELL, Protection.WATCHED),
    PathRule("devenv.nix", "direnv and devenv", _SHELL, Protection.WATCHED),
    # Editors.
    PathRule(".vscode", "VS Code", _TASKS, refuses_links=True),
    PathRule("*.code-workspace", "VS Code", _TASKS),
    PathRule(".devcontainer", "dev containers", "runs initializeCommand on the host"),
    PathRule(".devcontainer.json", "dev containers", "runs initializeCommand on the host"),
    PathRule(".idea", "JetBrains IDEs", _TASKS, refuses_links=True),
    PathRule(".run/*.run.xml", "JetBrains IDEs", _TASKS),
    PathRule(".fleet", "JetBrains Fleet", _TASKS),
    PathRule(".zed", "Zed", _TASKS),
    PathRule(".nvim.lua", "Neovim", _EDIT),
    PathRule(".nvimrc", "Neovim", _EDIT),
    PathRule(".exrc", "Vim", _EDIT),
    PathRule(".vimrc", "Vim", _EDIT),
    PathRule(".dir-locals.el", "Emacs", _EDIT),
    PathRule(".dir-locals-2.el", "Emacs", _EDIT),
    # Agents.
    PathRule(".claude/settings*.json", "Claude Code", _SERVERS),
    PathRule(".claude/hooks", "Claude Code", "is run by hooks of the settings"),
    PathRule(".claude/agents", "Claude Code", "instructs the next session", Protection.WATCHED),
    PathRule(".claude/commands", "Claude Code", "instructs the next session", Protection.WATCHED),
    PathRule(".claude/skills", "Claude Code", "instructs the next session", Protection.WATCHED),
    PathRule(".mcp.json", "Claude Code", _SERVERS),
    PathRule(".cursor", "Cursor", _SERVERS),
    PathRule(".windsurf/hooks.json", "Windsurf", _SERVERS),
    PathRule(".gemini/settings.json", "Gemini CLI", _SERVERS),
    PathRule(".gemini/.env", "Gemini CLI", "sets its variables"),
    PathRule(".codex/config.toml", "Codex CLI", _SERVERS),
    PathRule(".codex/hooks.json", "Codex CLI", _SERVERS),
    PathRule("opencode.json", "opencode", _SERVERS),
    PathRule("opencode.jsonc", "opencode", _SERVERS),
    PathRule(".opencode/opencode.json*", "opencode", _SERVERS),
    PathRule(".opencode/plugin*", "opencode", _SERVERS),
    PathRule(".opencode/tool*", "opencode", _SERVERS),
    PathRule(".roo/mcp.json", "Roo Code", _SERVERS),
    PathRule(".kiro/hooks", "Kiro", _SERVERS),
    PathRule(".kiro/settings", "Kiro", _SERVERS),
    PathRule(".aider.conf.yml", "aider", "names test and lint commands"),
    # Hooks of git that lie in the worktree.
    PathRule(".husky", "husky", _HOOKS),
    PathRule(".pre-commit-config.yaml", "pre-commit", _HOOKS),
    PathRule("lefthook.yml", "lefthook", _HOOKS),
    PathRule(".lefthook.yml", "lefthook", _HOOKS),
    PathRule("lefthook-local.yml", "lefthook", _HOOKS),
    PathRule(".lefthook-local.yml", "lefthook", _HOOKS),
    PathRule(".lefthook", "lefthook", _HOOKS),
    PathRule(".overcommit.yml", "Overcommit", _HOOKS),
    # Other version control.
    PathRule(".hg/hgrc", "Mercurial", "names hooks, extensions and aliases"),
    PathRule(".hg/hgrc-not-shared", "Mercurial", "names hooks, extensions and aliases"),
    PathRule(".hg/sharedpath", "Mercurial", "names another repository to obey"),
    PathRule(".sl/config", "Sapling", "names hooks, extensions and aliases"),
    PathRule(".jj/repo/config.toml", "Jujutsu", "names tools and aliases"),
    PathRule(".jj/workspace-config.toml", "Jujutsu", "names tools and aliases"),
)
"""Paths in a project, at any depth, except below a `node_modules`."""

GIT: Final = (
    PathRule("config", "git", "names programs and more configurations", Protection.REVIEWED),
    PathRule("config.worktree", "git", "the same for one worktree", Protection.REVIEWED),
    PathRule("hooks", "git", "programs that git runs", Protection.RESTORED),
    PathRule("commondir", "git", "names another git folder to obey", Protection.RESTORED),
    PathRule("gitdir", "git", "names another worktree", Protection.RESTORED),
    PathRule("info/attributes", "git", "hides differences, chooses filters", Protection.RESTORED),
    PathRule("info/exclude", "git", "hides new files from git status", Protection.RESTORED),
)
"""Paths in a git folder."""


class FirstNames:
    """The names with which the paths of some rules begin, made to be looked for in large folders."""

    def __init__(self, rules: Iterable[PathRule]) -> None:
        self._rules: dict[str, list[PathRule]] = {}
        for rule in rules:
            self._rules.setdefault(PurePosixPath(rule.path).parts[0], []).append(rule)
        self._names = frozenset(name for name in self._rules if "*" not in name)
        self._suffixes = tuple(name[1:] for name in self._rules if name.startswith("*"))

    def among(self, names: list[str]) -> list[str]:
        """Return those of the names with which a rule's path begins."""
        # The folders of a large project pass here while the user waits: most have no such name, and
        # one search in all names joined is faster than one in each.
        found = [] if self._names.isdisjoint(names) else sorted(self._names.intersection(names))
        joined = "\0".join(names)
        for suffix in self._suffixes:
            if suffix in joined:
                found += sorted(name for name in names if name.endswith(suffix))
        return found

    def rules(self, name: str) -> list[PathRule]:
        """Return the rules whose paths begin with this name."""
        exact = self._rules.get(name, [])
        suffixes = (suffix for suffix in self._suffixes if name.endswith(suffix))
        return exact + [rule for suffix in suffixes for rule in self._rules[f"*{suffix}"]]

"""The paths of a writable folder that programs of the host run or obey unasked.

Editors, direnv and Moat obey files of known names. Git obeys more: the configuration of every
repository that it comes by, including those within others, the programs and files that a configuration
names, and hooks. Whatever of this exists is to be read-only in the sandbox. What doesn't exist can't
be; `moat.workspace.cleanup` looks for it after the run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import git_discovery, path_rules
from moat.workspace.git_layout import (
    GIT,
    gitfile_target,
    is_repository,
    linked_git_folders,
    worktree_of,
)
from moat.workspace.git_references import linked_hooks, paths_named_by, user_configs
from moat.workspace.git_state import CONFIGS, HOOKS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_OBEYED_BY_GIT: Final = tuple(rule.path for rule in path_rules.GIT)

# Each repository takes up to six mounts, and bubblewrap's work grows with the square of their number:
# so many take a third of a second. Those beyond are checked after the run only.
_MAX_REPOSITORIES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedPaths:
    """What the host obeys in a folder; all paths are relative to the folder."""

    read_only: tuple[PurePosixPath, ...] = ()
    """Paths to make read-only; some of them may not exist."""
    git_folders: tuple[PurePosixPath, ...] = ()
    """Git folders of which `read_only` has everything that git obeys."""
    sealed: tuple[PurePosixPath, ...] = ()
    """Git folders that are read-only as a whole, because of symbolic links in them."""
    gitfiles: tuple[PurePosixPath, ...] = ()
    """Files and symbolic links called `.git`, which lead to a git folder."""
    absent: tuple[PurePosixPath, ...] = ()
    """Paths that the host would obey and that don't exist. A run may not leave them behind."""


def find_protected_paths(
    root: Path,
    *,
    named: Iterable[str] = (),
    hidden: Collection[PurePosixPath] = (),
    configs: Iterable[Path] = (),
) -> ProtectedPaths:
    """Find what the host obeys in a folder now.

    `named` are files that the project's own configuration names, `hidden` paths that the sandbox won't
    see, and `configs` git configurations outside the folder that hold in it. A repository without
    a `hooks` folder is given one.
    """
    collector = _Collector(root)
    _make_hooks(root)
    skipped = {str(path) for path in hidden}
    found = git_discovery.discover(
        root,
        git_discovery.MAX_FOLDERS_BEFORE,
        enters=lambda path: not (path == GIT or path.endswith(f"/{GIT}") or path in skipped),
    )
    collector.add_root()
    for path in [*found.unentered, *found.git_folders][:_MAX_REPOSITORIES]:
        collector.add_git_folder(path)
    for path in found.gitfiles[:_MAX_REPOSITORIES]:
        collector.add_gitfile(path)
    for config in (*configs, *user_configs()):
        collector.add_named(paths_named_by(root, config, root))
    collector.add_named(map(PurePosixPath, named))
    return collector.result()


class _Collector:
    """The protected paths of a folder, while they are being collected."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read_only = dict.fromkeys(PurePosixPath(rule.path) for rule in path_rules.PROJECT)
        self._git_folders: dict[PurePosixPath, None] = {}
        self._sealed: dict[PurePosixPath, None] = {}
        self._gitfiles: dict[PurePosixPath, None] = {}
        self._named: dict[PurePosixPath, None] = {}

    def result(self) -> ProtectedPaths:
        root = self._root
        obeyed = [*self._named, *_twins(root)]
        return ProtectedPaths(
            read_only=(*self._read_only, *self._named),
            git_folders=tuple(self._git_folders),
            sealed=tuple(self._sealed),
            gitfiles=tuple(self._gitfiles),
            absent=tuple(path for path in obeyed if not os.path.lexists(root / path)),
        )

    def add_root(self) -> None:
        git = self._root / GIT
        if git.is_symlink():
            self._read_only[PurePosixPath(GIT)] = None  # a link can't be covered: the start fails
        elif git.is_dir():
            self.add_git_folder(PurePosixPath(GIT), may_seal=False)
        elif is_repository(self._root):
            self.add_git_folder(PurePosixPath(), may_seal=False)

    def add_git_folder(self, path: PurePosixPath, *, may_seal: bool = True) -> None:
        if path in self._git_folders:
            return
        git = self._root / path
        if may_seal and any((git / name).is_symlink() for name in _OBEYED_BY_GIT):
            self._sealed[path] = self._read_only[path] = None
            return
        for folder in (git, *linked_git_folders(git)):
            relative = PurePosixPath(folder.relative_to(self._root))
            self._git_folders[relative] = None
            self._read_only |= dict.fromkeys(relative / name for name in _OBEYED_BY_GIT)
            worktree = worktree_of(folder)
            for name in CONFIGS:
                self.add_named(paths_named_by(self._root, folder / name, worktree))
            self.add_named(linked_hooks(self._root, folder / HOOKS))

    def add_gitfile(self, path: PurePosixPath) -> None:
        self._gitfiles[path] = None
        if (self._root / path).is_symlink():
            return  # can't be covered: `cleanup` sees whether it has changed
        self._read_only[path] = None
        folder = gitfile_target(self._root / path)
        if folder is not None and folder != self._root and folder.is_relative_to(self._root):
            self.add_git_folder(PurePosixPath(folder.relative_to(self._root)))

    def add_named(self, paths: Iterable[PurePosixPath]) -> None:
        self._named |= dict.fromkeys(paths)


def _twins(root: Path) -> Iterator[PurePosixPath]:
    """Yield the other name of every file that has two and is there under one of them."""
    for rule in path_rules.PROJECT:
        if rule.twin is not None and os.path.lexists(root / rule.path):
            yield PurePosixPath(rule.twin)


def _make_hooks(root: Path) -> None:
    """Give a repository the `hooks` folder that `git init` gives it, if it has none.

    This is the only thing ever created in a workspace. Without the folder there is nothing to make
    read-only, and the sandbox could create it with programs that the next `git commit` on the host
    runs.
    """
    for git in (root / GIT, root):
        if git.is_symlink():
            continue
        if is_repository(git) and not os.path.lexists(git / HOOKS):
            (git / HOOKS).mkdir()

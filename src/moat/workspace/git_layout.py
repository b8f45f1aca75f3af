"""The places of git on the host: git folders, linked worktrees, submodules, `.git` files.

The layout is that of gitrepository-layout(5). Everything here is read by path, before a run starts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config
from moat.workspace.beneath import overlap

if TYPE_CHECKING:
    from collections.abc import Iterator

GIT: Final = ".git"
_MAX_CONFIG_SIZE: Final = 1024 * 1024
_MAX_BEGINNING: Final = 16 * 1024
"""Bytes in which git itself writes a path, or the place of a submodule's worktree."""


def is_repository(folder: Path) -> bool:
    """Return whether a folder is a git folder: `discovery.is_git_folder`, but without `refs`."""
    # `Path` would raise where we may not look, as in another user's folder around the workspace.
    return os.path.isfile(folder / "HEAD") and os.path.isdir(folder / "objects")  # noqa: PTH112, PTH113


def linked_git_folders(git: Path) -> Iterator[Path]:
    """Yield the git folders in a git folder: those of linked worktrees and of submodules."""
    yield from _folders_in(git / "worktrees")
    yield from _submodules(git / "modules")


def _submodules(modules: Path) -> Iterator[Path]:
    """Yield the git folders of submodules, at any depth: a submodule's name may have slashes."""
    for folder in _folders_in(modules):
        if (folder / "HEAD").is_file():
            yield folder
            yield from _submodules(folder / "modules")
        else:
            yield from _submodules(folder)


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def worktree_of(git: Path) -> Path:
    """Return the folder in which git starts what a git folder's configuration names."""
    for entry in git_config.parse(read_config(git / "config", _MAX_BEGINNING) or "")[0]:
        if entry.name == "core.worktree":  # of a submodule
            return Path(os.path.normpath(git / entry.value))
    gitfile = first_line(git / "gitdir")  # of a linked worktree
    if gitfile is not None:
        return Path(os.path.normpath(git / gitfile)).parent
    return git.parent if git.name == GIT else git


def common_folder(git: Path) -> Path:
    """Return the git folder whose configuration and hooks hold in this one: often itself."""
    line = first_line(git / "commondir")
    return git if line is None else Path(os.path.normpath(git / line))


def enclosing_repositories(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the git folder and the worktree of every repository that `folder` lies in, nearest first."""
    for parent in folder.parents:
        git = parent / GIT
        if os.path.isfile(git):  # noqa: PTH113  as in `is_repository`
            git = gitfile_target(git) or git
        if is_repository(common_folder(git)):
            yield git, parent
        elif is_repository(parent):
            yield parent, parent


def gitfile_target(gitfile: Path) -> Path | None:
    """Return the folder that a `.git` file names, with links resolved; it need not exist."""
    line = first_line(gitfile)
    if line is None or not line.startswith("gitdir: "):
        return None
    return Path(os.path.realpath(gitfile.parent / line.removeprefix("gitdir: ")))


def first_line(path: Path) -> str | None:
    text = read_config(path, _MAX_BEGINNING)
    return None if text is None else text.partition("\n")[0].rstrip("\r")


def read_config(path: Path, limit: int = _MAX_CONFIG_SIZE) -> str | None:
    """Return the beginning of a file; `None` where there is none or git can't read it either."""
    if os.path.islink(path) or not os.path.isfile(path):  # noqa: PTH113, PTH114  as in `is_repository`
        return None
    try:
        with path.open(errors="surrogateescape", newline="") as file:
            return file.read(limit)
    except PermissionError:
        return None


def repository_of_worktree(root: Path) -> Path | None:
    """Return the git folder that `root`, a linked worktree (`git worktree add`), belongs to.

    The `.git` file in a workspace may name any folder. So the folder that it names must name this
    workspace in turn, as git has it (gitrepository-layout(5): `worktrees/<id>/gitdir`). Nothing on
    the way there may be a symbolic link, and worktrees linked by relative paths aren't supported:
    the paths don't hold in the sandbox.
    """
    pointer = first_line(root / GIT)
    if pointer is None or not pointer.startswith("gitdir: /"):
        return None
    own = Path(os.path.normpath(pointer.removeprefix("gitdir: ")))
    common = own.parent.parent
    backward, shared = first_line(own / "gitdir"), first_line(own / "commondir")
    is_consistent = (
        own.parent.name == "worktrees"
        and os.path.realpath(own) == str(own)
        and backward is not None
        and os.path.realpath(own / backward) == str(root / GIT)
        and shared is not None
        and os.path.normpath(own / shared) == str(common)
        and is_repository(common)
    )
    return common if is_consistent and not overlap(common, root) else None

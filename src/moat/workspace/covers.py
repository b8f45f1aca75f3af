"""A writable folder in the sandbox, with covers over what the host would run or trust later.

The folder may have been in the hands of a hostile run before. Whatever is mounted from it is opened
part by part without following symbolic links, and mounted by descriptor.

Git's configurations are covered too, though git writes them in everyday work: `git remote add`, `git
push -u`, an npm package that installs hooks. So where the engine can, a run finds a link there to a copy
of its own. What it sets holds in the sandbox, and nowhere else.

A covered path must stay where it is: a folder that is renamed takes the covers below it along and
leaves its name free. A mount point can't be renamed, so every folder on the way to a cover is mounted
on itself.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Protocol

from moat.errors import UsageError
from moat.workspace import git_identity
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath, open_folder
from moat.workspace.entries import is_regular, read_text
from moat.workspace.git_layout import repository_of_worktree
from moat.workspace.git_state import CONFIGS
from moat.workspace.host_sockets import live_sockets
from moat.workspace.links import break_hard_links
from moat.workspace.protected_paths import ProtectedPaths, find_protected_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.spec import ProtectedPath, RunSpec

log = logging.getLogger(__name__)

WORKSPACE: Final = PurePosixPath("/workspace")
_GIT: Final = PurePosixPath(".git")
_UNPROTECTED: Final = "run with --writable-git, which protects no path of the workspace at all"


class Cover(IntEnum):
    """A mount over a path of a writable folder; where two meet, the greater one wins."""

    PINNED = 1
    """Writable, but a mount point, which can't be renamed or removed."""
    READ_ONLY = 2
    COPIED = 3
    """Read-only, and where the engine can, a copy for the run to change is shown in its place."""
    HIDDEN = 4


Covers = dict[PurePosixPath, Cover]


class Mounts(Protocol):
    """The mounts of a sandbox, as its engine collects them; parents come before children."""

    def bind_handle(self, source: PathHandle, target: PurePosixPath, *, writable: bool) -> None:
        """Mount what was opened; the caller may close it afterwards."""
        ...

    def hide(self, target: PurePosixPath, *, is_folder: bool) -> None:
        """Mount an empty, read-only file or folder."""
        ...

    def show_copy(self, content: str, target: PurePosixPath) -> None:
        """Show a file of the run's own in the place of one that is read-only, if the engine can."""
        ...


@dataclass(frozen=True, slots=True)
class WritableFolder:
    """A folder of the host that the sandbox may write, and what in it is protected."""

    root: Path
    protected: ProtectedPaths
    hidden: tuple[PurePosixPath, ...] = ()


def mount_workspace(mounts: Mounts, spec: RunSpec) -> list[WritableFolder]:
    """Mount the workspace; return the folders to clean up after the run.

    With `--writable-git` there are none. A linked worktree brings along its repository.
    """
    root = workspace_folder(spec)
    hidden = tuple(_excluded(root, spec.exclude))
    repository = repository_of_worktree(root)
    configs = () if repository is None else (repository / "config", repository / "config.worktree")
    folders: list[WritableFolder] = []
    covers: Covers = {}
    if not spec.writable_git:
        protected = find_protected_paths(
            root,
            named=spec.trusted_files,
            hidden=hidden,
            configs=configs,
            rows=spec.protected_paths,
            known_as=Path(os.path.realpath(spec.workspace)),
        )
        folders.append(WritableFolder(root, protected, hidden))
        covers |= _covers(protected)
    covers |= dict.fromkeys(hidden, Cover.HIDDEN)
    _mount(mounts, root, WORKSPACE, covers)
    sockets = folders[0].protected.sockets if folders else live_sockets(root)
    hide_sockets(mounts, root, WORKSPACE, sockets)
    if repository is not None and covers.get(_GIT) is not Cover.HIDDEN:
        target = PurePosixPath(repository)
        if spec.writable_git:
            _mount(mounts, repository, target, {})
        else:
            folders.append(mount_folder(mounts, repository, target, rows=spec.protected_paths))
    return folders


def mount_folder(
    mounts: Mounts,
    root: Path,
    target: PurePosixPath,
    *,
    named: Iterable[str] = (),
    rows: tuple[ProtectedPath, ...] = (),
) -> WritableFolder:
    """Mount a folder writable, except for its protected paths and those `named` besides.

    `rows` are the user's own, in addition to the table of protected paths.
    """
    protected = find_protected_paths(root, named=named, rows=rows)
    _mount(mounts, root, target, _covers(protected))
    hide_sockets(mounts, root, target, protected.sockets)
    return WritableFolder(root, protected)


def _covers(protected: ProtectedPaths) -> Covers:
    """Return the covers of protected paths; the folders of links that are to be put back stay there."""
    covers = dict.fromkeys((path.parent for path in protected.links), Cover.PINNED)
    covers.pop(PurePosixPath(), None)
    covers |= dict.fromkeys(protected.read_only, Cover.READ_ONLY)
    configs = {git / name for git in protected.git_folders for name in CONFIGS}
    return covers | dict.fromkeys(configs & covers.keys(), Cover.COPIED)


def hide_sockets(
    mounts: Mounts, root: Path, target: PurePosixPath, sockets: Iterable[PurePosixPath]
) -> None:
    """Hide sockets of the folder `root`, which is mounted at `target`; the log has their names.

    Nothing keeps the folders above them in their places: a cover moves along.
    """
    for path in sockets:
        mounts.hide(target / path, is_folder=False)
        log.warning(
            "%s is not shown, for a service of the host listens there; mount it by itself to show it",
            root / path,
        )


def workspace_folder(spec: RunSpec) -> Path:
    """Return the folder to work on, with the symbolic links on the user's way to it resolved."""
    folder = Path(os.path.realpath(spec.work_folder))
    if not folder.is_dir():
        raise UsageError(
            f"workspace {spec.work_folder} is not a folder", "name the folder to work in"
        )
    return folder


def _excluded(root: Path, exclude: Iterable[str]) -> Iterator[PurePosixPath]:
    """Yield the paths to hide, with symbolic links resolved, for a link itself shows nothing.

    A link out of the workspace needs no cover: what it leads to doesn't exist in the sandbox.
    """
    for text in exclude:
        path = PurePosixPath(text)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise UsageError(
                f"exclude {text!r} is not a path below the workspace",
                "write it relative to the workspace, without ..",
            )
        real = Path(os.path.realpath(root / path))
        if real == root:
            raise UsageError(
                f"exclude {text!r} is the whole workspace", "name a file or folder below it"
            )
        if real.is_relative_to(root):
            yield PurePosixPath(real.relative_to(root))


def _mount(mounts: Mounts, root: Path, target: PurePosixPath, covers: Covers) -> None:
    """Mount the folder `root` writable, and over it every cover whose path exists."""
    present = {path: cover for path, cover in covers.items() if os.path.lexists(root / path)}
    with open_folder(root) as top:
        _break_hard_links(top, present)
        mounts.bind_handle(top, target, writable=True)
        for path, cover in _with_pins(present):
            with _open(top, path) as opened:
                if cover is Cover.HIDDEN:
                    mounts.hide(target / path, is_folder=opened.is_folder)
                else:
                    mounts.bind_handle(opened, target / path, writable=cover is Cover.PINNED)
            if cover is Cover.COPIED:
                _show_copy(mounts, top, path, target)


def _show_copy(mounts: Mounts, top: PathHandle, path: PurePosixPath, target: PurePosixPath) -> None:
    with _open(top, path.parent) as folder:
        text = read_text(folder, path.name)
    if text is not None and is_regular(text):
        mounts.show_copy(git_identity.unsigned(text), target / path)


def _break_hard_links(top: PathHandle, covers: Covers) -> None:
    for path, cover in covers.items():
        if cover not in {Cover.READ_ONLY, Cover.COPIED}:
            continue
        try:
            copied = break_hard_links(top, path)
        except (FileNotFoundError, SymbolicLinkError):
            continue  # `_open` says so
        except OSError as exc:
            raise UsageError(
                f"{top.path / path} can't be protected: it has another name (hard link), and a copy "
                f"can't take its place: {exc.strerror}",
                f"copy it yourself, or {_UNPROTECTED}",
            ) from exc
        for file in copied:
            log.warning("%s had another name (hard link), and is a copy now", top.path / file)


def _with_pins(covers: Covers) -> list[tuple[PurePosixPath, Cover]]:
    """Return all covers and a pin on every folder above one, parents first.

    Nothing is mounted into a hidden folder; a pin in a read-only one is read-only too.
    """
    ordered: Covers = {}
    above = {parent for path in covers for parent in path.parents if parent.parts}
    for path in sorted(above | covers.keys()):
        outer = max(ordered.get(parent, Cover.PINNED) for parent in path.parents)
        if outer is not Cover.HIDDEN:
            ordered[path] = max(covers.get(path, Cover.PINNED), outer)
    return list(ordered.items())


def _open(top: PathHandle, path: PurePosixPath) -> PathHandle:
    try:
        return open_beneath(top, path)
    except SymbolicLinkError as link:
        raise UsageError(
            f"{top.path / path} can't be protected: {link} is a symbolic link",
            f"put what it leads to in its place, or {_UNPROTECTED}",
        ) from None
    except OSError as exc:
        # It existed a moment ago, so another run is moving files in this workspace.
        raise UsageError(f"{top.path / path} can't be opened: {exc.strerror}", "try again") from exc

"""The workspace in the sandbox: writable, but for what the host would run or trust later.

The workspace may have been in the hands of a hostile run before. Whatever is bound from it is
opened part by part without following symbolic links, and bound by descriptor.

What is covered must stay where it is: a folder that is renamed takes the covers below it along and
leaves its name free. A mount point can't be renamed, so every folder on the way to a cover is bound
on itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Protocol

from moat.errors import UsageError
from moat.workspace.beneath import Opened, SymbolicLinkError, open_beneath, open_folder, overlap
from moat.workspace.protected_paths import Trusted, first_line, is_repository, trusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.spec import RunSpec

WORKSPACE: Final = PurePosixPath("/workspace")
_GIT: Final = PurePosixPath(".git")


class Cover(IntEnum):
    """What lies over a path of the workspace; the greater one wins."""

    PINNED = 1
    """Itself, so that it stays where it is."""
    READ_ONLY = 2
    HIDDEN = 3


Covers = dict[PurePosixPath, Cover]


class Mounts(Protocol):
    """The mounts of a sandbox, as an engine collects them; parents come before children."""

    def opened(self, opened: Opened, target: PurePosixPath, *, writable: bool) -> None:
        """Mounts what was opened; the caller may close it afterwards."""
        ...

    def hide(self, target: PurePosixPath, *, is_folder: bool) -> None:
        """Mounts an empty, read-only file or folder."""
        ...


@dataclass(frozen=True, slots=True)
class Area:
    """A folder of the host that the sandbox may write, and what there it may not."""

    root: Path
    trusted: Trusted
    hidden: tuple[PurePosixPath, ...] = ()


def show_workspace(mounts: Mounts, spec: RunSpec) -> list[Area]:
    """What of it is to be looked after: nothing with `--writable-git`."""
    root = workspace_folder(spec)
    hidden = tuple(_excluded(root, spec.exclude))
    repository = repository_of_worktree(root)
    configs = () if repository is None else (repository / "config", repository / "config.worktree")
    areas: list[Area] = []
    covers: Covers = {}
    if not spec.writable_git:
        found = trusted(root, named=spec.trusted_files, hidden=hidden, configs=configs)
        areas.append(Area(root, found, hidden))
        covers |= dict.fromkeys(found.paths, Cover.READ_ONLY)
    covers |= dict.fromkeys(hidden, Cover.HIDDEN)
    show_covered(mounts, root, WORKSPACE, covers)
    if repository is not None and covers.get(_GIT) is not Cover.HIDDEN:
        target = PurePosixPath(repository)
        if spec.writable_git:
            show_covered(mounts, repository, target, {})
        else:
            areas.append(show_folder(mounts, repository, target))
    return areas


def show_folder(
    mounts: Mounts, root: Path, target: PurePosixPath, *, named: Iterable[str] = ()
) -> Area:
    """Bind a folder writable, but for what the host trusts in it."""
    area = Area(root, trusted(root, named=named))
    show_covered(mounts, root, target, dict.fromkeys(area.trusted.paths, Cover.READ_ONLY))
    return area


def workspace_folder(spec: RunSpec) -> Path:
    """The workspace with the links on the user's way to it resolved."""
    folder = Path(os.path.realpath(spec.workspace))
    if not folder.is_dir():
        raise UsageError(
            f"workspace {spec.workspace} is not a folder", "name the folder to work in"
        )
    return folder


def _excluded(root: Path, exclude: Iterable[str]) -> Iterator[PurePosixPath]:
    """The places to hide: where links lead, for a link itself shows nothing.

    A link that leaves the workspace shows nothing of it either: the sandbox has no such path.
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


def show_covered(mounts: Mounts, root: Path, target: PurePosixPath, covers: Covers) -> None:
    """Bind the folder `root` writable, and over it every cover whose path exists."""
    present = {path: cover for path, cover in covers.items() if os.path.lexists(root / path)}
    with open_folder(root) as top:
        mounts.opened(top, target, writable=True)
        for path, cover in _with_pins(present):
            with _open(top, path) as opened:
                if cover is Cover.HIDDEN:
                    mounts.hide(target / path, is_folder=opened.is_folder)
                else:
                    mounts.opened(opened, target / path, writable=cover is Cover.PINNED)


def _with_pins(covers: Covers) -> list[tuple[PurePosixPath, Cover]]:
    """All covers, and a pin on every folder above one, parents first.

    Nothing is bound into what is hidden; a pin in what is read-only is read-only too.
    """
    ordered: Covers = {}
    above = {parent for path in covers for parent in path.parents if parent.parts}
    for path in sorted(above | covers.keys()):
        over = max(ordered.get(parent, Cover.PINNED) for parent in path.parents)
        if over is not Cover.HIDDEN:
            ordered[path] = max(covers.get(path, Cover.PINNED), over)
    return list(ordered.items())


def _open(top: Opened, path: PurePosixPath) -> Opened:
    try:
        return open_beneath(top, path)
    except SymbolicLinkError as link:
        raise UsageError(
            f"{top.path / path} can't be protected: {link} is a symbolic link",
            "put what it leads to in its place, or run with --writable-git to let the sandbox "
            "change it",
        ) from None
    except OSError as exc:
        # It was there a moment ago: another run in this workspace moves things about.
        raise UsageError(f"{top.path / path} can't be opened: {exc.strerror}", "try again") from exc


def repository_of_worktree(root: Path) -> Path | None:
    """The git folder that `root`, a linked worktree (`git worktree add`), belongs to.

    The `.git` file in a workspace may name any folder; so the folder it names must name this
    workspace in turn, as git has it (gitrepository-layout(5): `worktrees/<id>/gitdir`). Nothing on
    the way there may be a symbolic link, and links by relative paths don't hold in the sandbox.
    """
    pointer = first_line(root / _GIT)
    if pointer is None or not pointer.startswith("gitdir: /"):
        return None
    own = Path(os.path.normpath(pointer.removeprefix("gitdir: ")))
    common = own.parent.parent
    backward, shared = first_line(own / "gitdir"), first_line(own / "commondir")
    is_consistent = (
        own.parent.name == "worktrees"
        and os.path.realpath(own) == str(own)
        and backward is not None
        and os.path.realpath(own / backward) == str(root / _GIT)
        and shared is not None
        and os.path.normpath(own / shared) == str(common)
        and is_repository(common)
    )
    return common if is_consistent and not overlap(common, root) else None

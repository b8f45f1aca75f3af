"""The clean-up of one writable folder: each check looks at one kind of thing that a run can leave."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.beneath import (
    PathHandle,
    SymbolicLinkError,
    open_beneath,
    open_folder,
    settled,
)
from moat.workspace.entries import LINK, exists, is_folder, read_text, set_aside
from moat.workspace.file_modes import take_off_lending
from moat.workspace.findings import Finding
from moat.workspace.git_index import BadIndexError
from moat.workspace.git_index_review import UnreadableIndexError, hash_size, put_back, review_index
from moat.workspace.git_layout import worktree_of
from moat.workspace.git_links import new_links
from moat.workspace.git_objects import ObjectsReview
from moat.workspace.git_state import replacements
from moat.workspace.known_paths import GIT
from moat.workspace.quarantine import GitQuarantine
from moat.workspace.watched_paths import changes

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.workspace.at_start import AtStart
    from moat.workspace.discovery import Discovery
    from moat.workspace.file_modes import FileModes
    from moat.workspace.findings import Treatment
    from moat.workspace.path_rules import PathTable
    from moat.workspace.snapshot import FolderSnapshot

_HIDES: Final = "hides changes from git status and git diff"


class FolderCleanup:
    """The clean-up of one writable folder.

    `checked` holds the real path of every git folder that is looked at, in whichever writable folder
    it lies; `roots` are the writable folders; `run` has the copies of git's indexes.
    """

    def __init__(
        self,
        before: FolderSnapshot,
        checked: set[str],
        roots: list[Path],
        run: RunFolder,
        start: AtStart,
        table: PathTable,
    ) -> None:
        self._before = before
        self._root = Path(before.root)
        self._checked = checked
        self._roots = roots
        self._indexes = run.workspace_indexes
        self._start = start
        self._table = table

    def run(self, found: Discovery, modes: FileModes | None) -> Iterator[Finding]:
        before = self._before
        git_folders = dict.fromkeys([*found.git_folders, *map(PurePosixPath, before.git_folders)])
        with open_folder(self._root) as root:
            for check, paths in (
                (self._check_absent, map(PurePosixPath, before.absent)),
                (self._check_link_of_users, map(PurePosixPath, before.links)),
                (self._check_absent_program, map(PurePosixPath, before.absent_programs)),
                (self._check_git_folder, git_folders),
                (self._check_index, map(PurePosixPath, before.indexes)),
                (self._check_objects, map(PurePosixPath, before.indexes)),
                (self._check_replacements, map(PurePosixPath, before.replacements)),
                (self._check_gitfile, found.gitfiles),
            ):
                for path in paths:
                    yield from self._attempt(check, root, path)
            yield from self._check_changes(root, found)
            if modes is not None:
                yield from self._check_modes(root, modes)
        if before.uncovered:
            what = ", ".join(before.uncovered)
            yield self._unchecked(
                PurePosixPath(), f"has more than a run protects; not read-only were: {what}"
            )
        for path in found.unreadable:
            yield self._unchecked(path, "can't be read: look what is in it before you use git")
        if not found.complete:
            yield self._unchecked(
                PurePosixPath(),
                "has too many folders to look at all of them: look before you use git",
            )

    def _attempt(self, check: _Check, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        """Run one check; its failure doesn't keep the others from being run."""
        try:
            yield from check(root, path)
        except (FileNotFoundError, NotADirectoryError, SymbolicLinkError):
            return  # nothing is there, or git would not take the path there as part of this folder
        except OSError as exc:
            yield self._unchecked(
                path, f"can't be made harmless ({exc.strerror}): don't use git there"
            )

    # --- names ---

    def _check_absent(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        with open_beneath(root, path.parent) as parent:
            if exists(parent, path.name):
                yield self._set_aside(parent, path)

    def _check_absent_program(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        with open_beneath(root, path.parent) as parent:
            if exists(parent, path.name) and not is_folder(parent, path.name):
                yield self._set_aside(parent, path)

    def _check_link_of_users(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        """Put a symbolic link back by which git comes to a program."""
        target = self._before.links[str(path)]
        with open_beneath(root, path.parent) as parent:
            text = read_text(parent, path.name)
            if text == f"{LINK}{target}":
                return
            done = "put back"
            if text is not None:
                done = f"renamed to {set_aside(parent, path.name)}, and put back"
            os.symlink(target, path.name, dir_fd=parent.descriptor)
            yield self._quarantined(path, done, "leads git to a program")

    # --- git ---

    def _check_git_folder(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        place = self._root / path
        since = self._before.taken_at
        links = [] if since is None else new_links(place, since)
        with open_beneath(root, path) as git:
            quarantine = GitQuarantine(
                git,
                self._before.git_folders.get(str(path)),
                is_checked=lambda text: _real_path(place, text) in self._checked,
                keeps_worktree=lambda text: self._is_writable(_real_path(place, text)),
            )
            for name, done in quarantine.run():
                yield self._quarantined(path / name, done, _reason(name))
        for link in links:
            yield from self._attempt(self._check_link, root, path / link)

    def _check_link(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        with open_beneath(root, path.parent) as parent:
            if exists(parent, path.name):  # the quarantine may have renamed it already
                new = set_aside(parent, path.name)
                yield self._quarantined(path, f"renamed to {new}", "leads git to write elsewhere")

    def _check_index(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        before = self._before
        copy = self._indexes / before.indexes[str(path)]
        place = self._root / path
        worktree = worktree_of(place)
        try:
            with open_beneath(root, path) as git:
                for file, flag in review_index(
                    git, copy, worktree, size=hash_size(place), since=before.taken_at or 0
                ):
                    yield Finding(
                        before.root, self._shown(worktree / file), "cleared", flag, "git", _HIDES
                    )
        except (UnreadableIndexError, BadIndexError) as exc:
            with open_beneath(root, path) as git:
                done = f"{put_back(git, copy)} ({exc})"
            yield Finding(before.root, str(path / "index"), "quarantined", done, "git", _HIDES)

    def _check_objects(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        since = self._before.taken_at
        if since is None:
            return
        with open_beneath(root, path) as git:
            review = ObjectsReview(git, since, hash_size(self._root / path))
            for name, done in review.run():
                yield self._quarantined(path / name, done, _HIDES)
            for name in review.unchecked:
                done = "not checked: git fsck"
                yield Finding(
                    self._before.root,
                    str(path / name),
                    "left",
                    done,
                    "git",
                    "may hold forged objects",
                )

    def _check_replacements(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        before = set(self._before.replacements[str(path)])
        with open_beneath(root, path) as git:
            for name in sorted(replacements(git) - before):
                yield Finding(
                    self._before.root,
                    str(path / "refs/replace" / name),
                    "left",
                    f"git shows another object: git replace -d {name}",
                    "git",
                    "shows another content or history",
                )

    def _check_gitfile(self, root: PathHandle, path: PurePosixPath) -> Iterator[Finding]:
        """Let a `.git` file or link lead only to a git folder that is checked, or to nothing."""
        with open_beneath(root, path.parent) as parent:
            text = read_text(parent, path.name)
            if text is None or text == self._before.gitfiles.get(str(path)):
                return
            target = text.removeprefix(LINK if text.startswith(LINK) else "gitdir: ")
            folder = _real_path(self._root / path.parent, target.rstrip("\r\n"))
            leads_astray = folder is None or (
                folder not in self._checked and os.path.exists(folder)  # noqa: PTH110
            )
            # At the top, the next run would be refused because of a link.
            if leads_astray or (text.startswith(LINK) and path == PurePosixPath(".git")):
                yield self._set_aside(parent, path, "leads to another git folder")

    # --- other programs ---

    def _check_changes(self, root: PathHandle, found: Discovery) -> Iterator[Finding]:
        """Name what other programs than git would obey."""
        before = self._before
        if before.watched is None:
            return
        for path, obeyed in changes(
            self._root,
            before.watched,
            found,
            before.searched_at,
            self._table,
            lambda path: self._start.had(before.root, path),
        ):
            if str(path) not in before.watched and self._stops_runs(path):
                yield from self._attempt(self._check_absent, root, path)
            else:
                yield Finding(before.root, str(path), "left", "", obeyed.program, obeyed.reason)

    def _stops_runs(self, path: PurePosixPath) -> bool:
        """Return whether the next run would be refused because of what lies at this path.

        That is a symbolic link, and in the place of `agent.yaml` whatever is no file that can be read.
        """
        rules = self._table.rules(str(path))
        place = self._root / path
        if not any(rule.refuses_links for rule in rules):
            return False
        if any(rule.twin is not None for rule in rules):
            return not place.is_file() or place.is_symlink() or not os.access(place, os.R_OK)
        return place.is_symlink()

    def _check_modes(self, root: PathHandle, modes: FileModes) -> Iterator[Finding]:
        for path in modes.lending:
            with suppress(PermissionError):  # another user's: it lends nothing of this user's
                for bit in take_off_lending(root, path):
                    yield Finding(str(self._root), path, "cleared", bit, "the kernel", _LENDS)
        for path, what in modes.others.items():
            if not os.path.lexists(self._root / path):
                continue  # put aside in the meantime
            yield Finding(str(self._root), path, "left", what, "whoever opens it", _WAITS)
        for path in modes.astray:
            yield Finding(str(self._root), path, "left", "a link", "whoever opens it", _ASTRAY)
        if not self._root.stat().st_mode & 0o002:
            for path in modes.writable:
                yield Finding(
                    str(self._root), path, "left", "writable for everybody", "all users", _OPEN
                )

    # --- findings ---

    def _set_aside(
        self, parent: PathHandle, path: PurePosixPath, reason: str = "is obeyed if it is there"
    ) -> Finding:
        return self._quarantined(path, f"renamed to {set_aside(parent, path.name)}", reason)

    def _quarantined(self, path: PurePosixPath, done: str, reason: str) -> Finding:
        return Finding(self._before.root, str(path), "quarantined", done, "git", reason)

    def _unchecked(self, path: PurePosixPath, why: str) -> Finding:
        treatment: Treatment = "unchecked"
        return Finding(self._before.root, str(path), treatment, why)

    def _shown(self, place: Path) -> str:
        """Return a path of a worktree as a finding has it: relative to the folder if it lies in it."""
        return os.path.relpath(place, self._root)

    def _is_writable(self, path: str | None) -> bool:
        return path is not None and any(map(Path(path).is_relative_to, self._roots))


_LENDS: Final = "lends its owner's rights to whoever starts it"
_WAITS: Final = "makes whoever opens it wait, or talk to a program"
_ASTRAY: Final = "leads into a node_modules, in which protected paths are not named"
_OPEN: Final = "can be changed by every user of this machine"

_Check = Callable[[PathHandle, PurePosixPath], Iterator[Finding]]


def _reason(name: str) -> str:
    """Return the reason for which a path in a git folder is protected."""
    path = PurePosixPath(name)
    return next(rule.reason for rule in GIT if path.is_relative_to(rule.path))


def _real_path(folder: Path, text: str) -> str | None:
    """Return where a path in a git folder leads, the same for us as for git; `None` if it doesn't.

    Git ends a path at a zero byte.
    """
    place = None if "\0" in text else settled(folder / text)
    return None if place is None else str(place)

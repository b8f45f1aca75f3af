"""Worktrees of git for runs: `moat run --worktree BRANCH`.

    $MOAT_HOME/worktrees/ID/record.json     the repository and the branch, where no run writes
    $MOAT_HOME/worktrees/ID/tree            the worktree, which is the run's workspace

Git is asked on the host, in the user's repository (`client.host_git`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from moat import typed_json
from moat.client.host_git import Git, GitError
from moat.errors import StoreError, UsageError
from moat.paths import worktrees_folder
from moat.runs import consents
from moat.runs.rmtree import empty_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from moat.runs.store import Run, Store

_RECORD: Final = "record.json"
_TREE: Final = "tree"


@dataclass(frozen=True, slots=True)
class _Record:
    repository: str
    branch: str


@dataclass(frozen=True, slots=True)
class Worktree:
    """A worktree that Moat made."""

    folder: Path
    repository: Path
    """The folder in which the user works on it."""
    branch: str

    @property
    def tree(self) -> Path:
        return self.folder / _TREE

    def user(self, store: Store) -> Run | None:
        """Return the run that works there now."""
        for run in store.all(ended=False):
            if Path(run.workspace) == self.tree:
                return run
        return None


class WorktreeForRun:
    """The worktree of a run that is being started; a context manager.

    What was made for the run is removed again, unless the run began (`keep`) or is in the store. Nothing
    is removed that somebody has worked on.
    """

    def __init__(self, store: Store, path: str, branch: str, chosen: Mapping[str, str]) -> None:
        self._store = store
        self._branch = branch
        self._repository = _repository(store, Path(path), chosen)
        self._made = False
        self._kept = False
        self._new_at = ""
        """The commit at which a new branch was made; empty for a branch that existed."""
        key = hashlib.sha256(os.fsencode(f"{self._repository}\0{branch}")).hexdigest()[:8]
        place = worktrees_folder(store.home) / f"{slug(branch)}-{key}"
        self.worktree = Worktree(place, self._repository, branch)
        self._git = Git(store, self._repository, chosen, beside=place)

    def __enter__(self) -> Self:
        """Make the worktree, or take the one that is there. Raises `MoatError`."""
        tree = self.worktree.tree
        if tree.exists():
            if (user := self.worktree.user(self._store)) is not None:
                raise UsageError(
                    f"the run {user.name} works on {self._branch}",
                    f"Attach to it: moat attach {user.name}; or name another branch",
                )
            return self
        try:
            self._make(tree)
        except BaseException:
            self._undo()
            raise
        return self

    @property
    def is_dirty(self) -> bool:
        """Tell whether the user's own folder has changes that the worktree lacks."""
        return bool(self._git("status", "--porcelain", "--untracked-files=no"))

    def keep(self) -> None:
        """Leave the worktree there when this ends."""
        self._kept = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kept or any(
            Path(run.workspace) == self.worktree.tree for run in self._store.all()
        ):
            return
        self._undo()

    def _make(self, tree: Path) -> None:
        git, branch = self._git, self._branch
        if not git.knows("check-ref-format", "--branch", branch):
            raise UsageError(f"{branch!r} can't be the name of a branch", "Write it like fix-tests")
        if not git.knows("rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
            raise UsageError(f"{self._repository} has no commit yet", "Commit something first")
        exists = git.knows("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        self._made = True
        self.worktree.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = {"repository": str(self._repository), "branch": branch}
        (self.worktree.folder / _RECORD).write_text(json.dumps(record))
        self._new_at = "" if exists else git("rev-parse", "HEAD")
        try:
            if exists:
                git("worktree", "add", "--quiet", str(tree), branch)
            else:
                git("worktree", "add", "--quiet", "--no-track", "-b", branch, str(tree), "HEAD")
        except GitError as exc:
            raise UsageError(
                f"no worktree of {branch} can be made: {exc.summary}", "Name another branch"
            ) from exc
        for agreed in consents.agreements(self._store.home, self._repository):
            consents.agree(self._store.home, tree, agreed.lines)

    def _undo(self) -> None:
        if not self._made:
            return
        self._made = False
        self._git.knows("worktree", "remove", str(self.worktree.tree))
        if self.worktree.tree.exists():
            return
        empty_folder(self.worktree.folder)
        self.worktree.folder.rmdir()
        self._git.knows("worktree", "prune")
        if self._new_at:
            # Only while it is where it was made.
            name = f"refs/heads/{self._branch}"
            self._git.knows("update-ref", "--no-deref", "-d", name, self._new_at)


def slug(branch: str) -> str:
    """Return a name for a run and a folder, made from that of a branch."""
    text = re.sub(r"[^a-z0-9._-]+", "-", branch.lower()).strip("-._")[:40]
    return text or "worktree"


def _repository(store: Store, path: Path, chosen: Mapping[str, str]) -> Path:
    """Return the folder of the repository that a project is. Raises `UsageError` for another folder."""
    folder = Path(os.path.realpath(path))
    git = Git(store, folder, chosen)
    hint = "Name the top folder of a repository, in which you work"
    try:
        if git("rev-parse", "--is-bare-repository") == "true":
            raise UsageError(f"{folder} is a bare repository", hint)
        top = git("rev-parse", "--show-toplevel")
    except GitError as exc:
        raise UsageError(f"{folder} is in no repository of git: {exc.summary}", hint) from exc
    if Path(top) != folder:
        raise UsageError(f"{folder} is a part of the repository {top}", hint)
    return folder


def worktrees(home: Path) -> list[Worktree]:
    """Return all worktrees that Moat made. Raises `StoreError`."""
    found: list[Worktree] = []
    for path in sorted(worktrees_folder(home).glob(f"*/{_RECORD}")):
        try:
            record = typed_json.read(_Record, typed_json.parse(path.read_bytes()))
        except (OSError, ValueError) as exc:
            raise StoreError(f"{path} can't be read: {exc}", "Remove its folder") from exc
        found.append(Worktree(path.parent, Path(record.repository), record.branch))
    return found


def remove(store: Store, worktree: Worktree, chosen: Mapping[str, str], *, force: bool) -> None:
    """Remove a worktree; its branch stays. Raises `UsageError` for changes that would be lost."""
    git = Git(store, worktree.repository, chosen, beside=worktree.folder)
    if worktree.tree.exists() and worktree.repository.is_dir():
        try:
            git("worktree", "remove", *(("--force",) if force else ()), str(worktree.tree))
        except GitError as exc:
            if not force:
                raise UsageError(
                    f"{worktree.branch} was not removed: {exc.summary}",
                    f"Commit what you need in {worktree.tree}, or remove it with --force",
                ) from exc
    empty_folder(worktree.folder)
    worktree.folder.rmdir()
    if worktree.repository.is_dir():
        git.knows("worktree", "prune")

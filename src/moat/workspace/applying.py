"""The changes in a run's copy of a workspace, put into the workspace itself.

What the run left is hostile, and another run may be at work in the workspace. So no symbolic link is
followed in either, each content is compared with what the run left when it ended, and a file is replaced
in one step.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from moat.errors import MoatError
from moat.workspace import placing
from moat.workspace.apply_plan import Plan, Seen, Verdict, decide, make_plan
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath, open_folder
from moat.workspace.content_store import load
from moat.workspace.entries import is_folder, list_names
from moat.workspace.file_copy import FileCopier, have_equal_content
from moat.workspace.held_paths import GitPaths, is_reference
from moat.workspace.manifest import Manifest
from moat.workspace.walk import status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterable, Iterator
    from io import BufferedReader
    from types import TracebackType

    from moat.paths import RunFolder
    from moat.spec import RunSpec
    from moat.workspace.changes import Change, Side


class Application:
    """A run's copy and the workspace that was copied, both open; a context manager."""

    def __init__(self, spec: RunSpec, run: RunFolder, changes: Iterable[Change]) -> None:
        """`changes` are all that the run has made in its copy."""
        self._origin = load(run.copied_manifest) or Manifest(0)
        self._root = Path(self._origin.root or os.path.realpath(spec.workspace))
        git = GitPaths(run.copy, self._root)
        listed = list(changes)
        self.changes = [each for each in listed if not git.has(each.path)]
        """The changes that can be put into the workspace, those of generated folders included."""
        self._git_changes = [each for each in listed if git.has(each.path)]
        self._run = run
        self._removed = {each.path for each in listed if each.after is None}
        self._new_folders: set[str] = set()
        """Paths at which a folder is to take the place of something else."""
        self._files = FileCopier()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Open both folders. Raises `MoatError`."""
        self._top = self._held.enter_context(placing.open_workspace(self._root))
        try:
            self._copy = self._held.enter_context(open_folder(self._run.copy))
        except OSError as exc:
            self._held.close()
            raise MoatError(
                f"the run's copy can't be opened: {exc.strerror}", f"It was in {self._run.copy}"
            ) from exc
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def plan(
        self, changes: Iterable[Change], hold: Callable[[Change], str], *, force: bool
    ) -> Plan:
        """Decide about some of the changes; see `make_plan`."""
        chosen = list(changes)
        self._new_folders = {each.path for each in chosen if _makes_folder(each)}
        return make_plan(chosen, self.look, hold, force=force)

    def left_behind(self) -> Iterator[Change]:
        """Yield the changes outside of git and of generated folders that the workspace lacks."""
        for each in self.changes:
            if each.generated is None and not self.look(each).is_after:
                yield each

    def has_commits(self) -> bool:
        """Return whether the copy's repository names commits that the workspace's doesn't name."""
        return any(
            each.after is not None and is_reference(each.path) and not self.look(each).is_after
            for each in self._git_changes
        )

    # --- looking ---

    def look(self, change: Change) -> Seen:
        """Look what is in the workspace now."""
        lost = self._lost(change)
        if lost:
            return Seen(lost=lost)
        path, before = PurePosixPath(change.path), change.before
        try:
            present = None if self._will_be_new(path) else self._status(self._top, path)
            exists = present is not None
            if present is not None and self._keeps_folder(change, present):
                return Seen(exists, blocked="a folder with other files is there")
            if self._is(self._top, path, change.after, present):
                return Seen(exists, is_after=True)
            # A file that was too large to be read at the start is known by its metadata alone.
            is_known = before is None or not before.is_file or before.digest is not None
            is_before = self._is_untouched(change, present) or (
                is_known and self._is(self._top, path, before, present)
            )
            return Seen(exists, is_before)
        except (OSError, SymbolicLinkError) as exc:
            return Seen(exists=True, blocked=_words(exc))

    def _lost(self, change: Change) -> str:
        """Return why the copy hasn't what the run left there; empty if it has."""
        path, after = PurePosixPath(change.path), change.after
        try:
            is_left = self._is(self._copy, path, after, self._status(self._copy, path))
        except (SymbolicLinkError, NotADirectoryError):
            is_left = after is None  # the run has put something else in the place of the folder
        except OSError as exc:
            return f"it can't be read in the copy: {_words(exc)}"
        return "" if is_left else "it was changed in the copy since the run ended"

    def _will_be_new(self, path: PurePosixPath) -> bool:
        """Return whether a path lies in a folder for which something else has to go first."""
        for folder in path.parents:
            if str(folder) in self._new_folders:
                status = self._status(self._top, folder)
                return status is not None and not stat.S_ISDIR(status.st_mode)
        return False

    def _status(self, top: PathHandle, path: PurePosixPath) -> os.stat_result | None:
        try:
            parent = open_beneath(top, path.parent)
        except FileNotFoundError:
            return None
        with parent:
            if not parent.is_folder:
                raise NotADirectoryError
            return placing.status_at(parent, path.name)

    def _is(
        self, top: PathHandle, path: PurePosixPath, side: Side | None, status: os.stat_result | None
    ) -> bool:
        """Return whether a path, of that status, is what a side of a change says."""
        if status is None or side is None:
            return status is None and side is None
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(side.mode):
            return False
        if stat.S_ISLNK(status.st_mode):
            with open_beneath(top, path.parent) as parent:
                return os.readlink(path.name, dir_fd=parent.descriptor) == side.target
        if (status.st_mode ^ side.mode) & placing.PERMISSIONS:
            return False
        is_file = stat.S_ISREG(status.st_mode)
        return not is_file or (status.st_size == side.size and self._has(top, path, side))

    def _has(self, top: PathHandle, path: PurePosixPath, side: Side) -> bool:
        """Return whether a file of the right size has the content of a side of a change."""
        if side.digest is not None:
            return self._digest(top, path) == side.digest
        # What the run left was too large to be read at its end, or lies in a folder that tools fill.
        if top is self._copy:
            with _opened_file(top, path) as file:  # the run may have left it without permissions
                return file is not None
        with _opened_file(top, path) as one, _opened_file(self._copy, path) as other:
            return (
                one is not None
                and other is not None
                and have_equal_content(one.fileno(), other.fileno())
            )

    def _digest(self, top: PathHandle, path: PurePosixPath) -> str | None:
        """Return the SHA-256 of a regular file."""
        with _opened_file(top, path) as file:
            return None if file is None else hashlib.file_digest(file, "sha256").hexdigest()

    def _is_untouched(self, change: Change, status: os.stat_result | None) -> bool:
        """Return whether nobody has touched a file or link since it was copied."""
        if status is None or change.before is None or stat.S_ISDIR(status.st_mode):
            return False
        folder, _, name = change.path.rpartition("/")
        known = self._origin.folders.get(folder)
        return known is not None and known.entries.get(name) == status_of(status)

    def _keeps_folder(self, change: Change, status: os.stat_result) -> bool:
        """Return whether a folder would have to go, and has something that the run didn't remove."""
        after = change.after
        if not stat.S_ISDIR(status.st_mode) or (after is not None and stat.S_ISDIR(after.mode)):
            return False
        with open_beneath(self._top, PurePosixPath(change.path)) as folder:
            return _has_others(folder, change.path, self._removed)

    # --- acting ---

    def carry_out(self, plan: Plan, *, force: bool) -> Iterator[Change]:
        """Put the changes of a plan into the workspace, and yield each that was.

        Raises `MoatError` at one that can't be; those after it are left, and another call goes on there.
        """
        todo = plan.in_order()
        planned = {change.path for change in todo}
        for number, change in enumerate(todo):
            try:
                # A moment has passed: what is there now may not be what was decided about.
                step = decide(change, self.look(change), force=force)
                if step.verdict is Verdict.APPLY:
                    self._apply(change, planned)
                elif step.verdict is not Verdict.DONE:
                    raise _stopped(change, step.reason, number, len(todo))
            except (OSError, SymbolicLinkError) as exc:
                raise _stopped(change, _words(exc), number, len(todo)) from exc
            yield change

    def _apply(self, change: Change, planned: Container[str]) -> None:
        path, after = PurePosixPath(change.path), change.after
        if after is None:
            with open_beneath(self._top, path.parent) as parent:
                placing.remove(parent, path.name)
            placing.remove_empty_folders(
                self._top,
                path.parent,
                lambda each: str(each) in planned or self._has_folder(each),
            )
            return
        with placing.make_folders(self._top, path.parent, self._mode_of_folder) as parent:
            if stat.S_ISDIR(after.mode):
                self._put_folder(parent, path.name, after.mode)
                return
            placing.make_room(parent, path.name)
            if stat.S_ISLNK(after.mode):
                placing.put_link(parent, path.name, after.target or "")
            else:
                placing.put_file(
                    parent, path.name, after.mode, lambda new: self._fill(new, path, after)
                )

    def _put_folder(self, parent: PathHandle, name: str, mode: int) -> None:
        present = placing.status_at(parent, name)
        if present is not None and stat.S_ISDIR(present.st_mode):
            placing.set_mode(parent, PurePosixPath(name), mode)
        else:
            placing.put_folder(parent, name, mode)

    def _fill(self, new: int, path: PurePosixPath, after: Side) -> None:
        """Write a file's content, and look that it is what the run left."""
        with open_beneath(self._copy, path.parent) as parent:
            source = os.open(path.name, placing.READ, dir_fd=parent.descriptor)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                raise OSError("it isn't a file in the copy any more")
            self._files.copy(source, new, after.size)
        finally:
            os.close(source)
        if after.digest is not None:
            os.lseek(new, 0, os.SEEK_SET)
            with os.fdopen(new, "rb", closefd=False) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != after.digest:
                    raise OSError("it was changed in the copy since the run ended")

    def _has_folder(self, path: PurePosixPath) -> bool:
        try:
            status = self._status(self._copy, path)
        except (SymbolicLinkError, NotADirectoryError):
            return False
        return status is not None and stat.S_ISDIR(status.st_mode)

    def _mode_of_folder(self, path: PurePosixPath) -> int:
        status = self._status(self._copy, path)
        # Files are to be put into it.
        return stat.S_IRWXU | (placing.PERMISSIONS if status is None else status.st_mode)


@contextmanager
def _opened_file(top: PathHandle, path: PurePosixPath) -> Generator[BufferedReader | None]:
    """Open a regular file; yield `None` where there is none."""
    try:
        with open_beneath(top, path.parent) as parent:
            descriptor = os.open(path.name, placing.READ, dir_fd=parent.descriptor)
    except FileNotFoundError:
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        yield file if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _has_others(folder: PathHandle, path: str, removed: Container[str]) -> bool:
    """Return whether there is anything in a folder but what is to be removed."""
    for name in list_names(folder):
        inner = f"{path}/{name}"
        if inner in removed:
            continue
        if not is_folder(folder, name):
            return True
        with open_beneath(folder, PurePosixPath(name)) as below:
            if not list_names(below) or _has_others(below, inner, removed):
                return True
    return False


def _makes_folder(change: Change) -> bool:
    before, after = change.before, change.after
    if before is None or after is None:
        return False
    return stat.S_ISDIR(after.mode) and not stat.S_ISDIR(before.mode)


def _words(exc: OSError | SymbolicLinkError) -> str:
    if isinstance(exc, SymbolicLinkError):
        return "a symbolic link leads there"
    if isinstance(exc, NotADirectoryError):
        return "a file is in the place of a folder"
    return exc.strerror or str(exc)


def _stopped(change: Change, reason: str, done: int, of: int) -> MoatError:
    from moat.workspace.patch import quoted  # noqa: PLC0415  for a failure alone

    return MoatError(
        f"{quoted(change.path)} was not changed: {reason} ({done} of {of} changes are made)",
        "The others are as they were; the same command goes on",
    )

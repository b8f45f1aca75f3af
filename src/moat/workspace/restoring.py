"""A workspace brought back to what it was, when a run started or a snapshot was taken, file by file.

Nothing is lost by it. A path is only changed while it is what was recorded there last, and while that
can still be read from the record. What somebody has changed since then stays, and is named.

Another run may be at work in the same workspace, so no symbolic link is followed, and a file is replaced
in one step.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from moat.workspace import placing
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from moat.workspace.changes import Change, Side
    from moat.workspace.contents import ContentReader


class Restored(NamedTuple):
    """The outcome for one changed path."""

    path: str
    removed: bool
    """The run had made it, so it is to go."""
    left: str | None
    """Why it was left as it is, or `None` where it is restored."""


class _LeftError(Exception):
    """A path that must stay as it is; the text says why."""


def restore(
    root: Path,
    changes: Sequence[Change],
    contents: ContentReader,
    *,
    folders: Collection[str] = (),
    dry_run: bool = False,
) -> Iterator[Restored]:
    """Undo changes below `root`, and yield what became of each; with `dry_run`, would.

    `folders` were there, as far as that is known, and stay even if nothing is left in them.
    Paths that are as they were before the change are not yielded. Raises `MoatError` where the folder
    itself can't be opened.
    """
    made = [change for change in changes if change.before is None]
    others = [change for change in changes if change.before is not None]
    known = {*folders, *(change.path for change in others)}
    with placing.open_workspace(root) as top:
        # What the run has made goes first, innermost first: it may be in the way of what was there.
        for change in (*reversed(made), *others):
            try:
                done = _undo(top, change, contents, dry_run=dry_run)
            except _LeftError as reason:
                yield Restored(change.path, change.before is None, str(reason))
            except SymbolicLinkError:
                yield Restored(
                    change.path, change.before is None, "a symbolic link leads there now"
                )
            except OSError as exc:
                yield Restored(change.path, change.before is None, exc.strerror or str(exc))
            else:
                if done:
                    yield Restored(change.path, change.before is None, None)
                    if change.before is None and not dry_run:
                        # The run may have made them. One at a known path is in the place of
                        # something else, which comes back later.
                        parent = PurePosixPath(change.path).parent
                        placing.remove_empty_folders(top, parent, lambda each: str(each) in known)


def _undo(top: PathHandle, change: Change, contents: ContentReader, *, dry_run: bool) -> bool:
    """Bring back one path; return False if nothing has to be done."""
    path = PurePosixPath(change.path)
    try:
        parent = open_beneath(top, path.parent)
    except (FileNotFoundError, NotADirectoryError) as exc:
        if change.before is None:
            return False  # what the run has made is gone, with the folder around it
        if isinstance(exc, NotADirectoryError):
            raise
        if change.after is not None:
            raise _LeftError("it was removed since") from None
        wanted = _Wanted.of(change.before, contents)
        if not dry_run:
            with placing.make_folders(top, path.parent) as made:
                wanted.put(made, path.name)
        return True
    with parent:
        if _is(parent, path.name, change.before):
            return False
        if change.late:
            raise _LeftError("it changed before it was recorded, so what was there may be older")
        was, now = change.before, change.after
        if was is not None and now is not None and _differ_in_mode_alone(was, now):
            _set_mode(parent, path.name, was, now, dry_run=dry_run)
            return True
        _check(parent, path.name, change.after, contents)
        wanted = _Wanted.of(change.before, contents) if change.before is not None else None
        if not dry_run:
            _replace(parent, path.name, wanted)
    return True


def _differ_in_mode_alone(was: Side, now: Side) -> bool:
    if stat.S_IFMT(was.mode) != stat.S_IFMT(now.mode):
        return False
    return stat.S_ISDIR(was.mode) or (was.digest is not None and was.digest == now.digest)


def _set_mode(parent: PathHandle, name: str, was: Side, now: Side, *, dry_run: bool) -> None:
    if not _is(parent, name, now):
        raise _LeftError("it was changed since")
    if not dry_run:
        placing.set_mode(parent, PurePosixPath(name), was.mode)


def _check(parent: PathHandle, name: str, after: Side | None, contents: ContentReader) -> None:
    """Raise `_LeftError` unless a path is what was recorded last, and can be brought back."""
    if after is not None and after.is_file and _content(after, contents) is None:
        raise _LeftError("its content isn't kept in the record, so it would be lost")
    if not _is(parent, name, after):
        raise _LeftError("it was changed since")


class _Wanted(NamedTuple):
    """The state of a path when the run started."""

    side: Side
    content: bytes | None
    """Content of a file."""

    @classmethod
    def of(cls, side: Side, contents: ContentReader) -> _Wanted:
        content = _content(side, contents)
        if side.is_file and content is None:
            raise _LeftError("what was there isn't kept: it was too large, or not read in time")
        if not side.is_file and not stat.S_ISDIR(side.mode) and side.target is None:
            raise _LeftError("what was there is neither a file, a folder nor a symbolic link")
        return cls(side, content)

    def put(self, parent: PathHandle, name: str) -> None:
        """Put it in its place, which no folder takes; a file there is replaced in one step."""
        content = self.content
        if stat.S_ISDIR(self.side.mode):
            placing.put_folder(parent, name, self.side.mode)
        elif content is None:
            placing.put_link(parent, name, self.side.target or "")
        else:
            placing.put_file(parent, name, self.side.mode, lambda new: _write(new, content))


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)


def _replace(parent: PathHandle, name: str, wanted: _Wanted | None) -> None:
    if wanted is None:
        placing.remove(parent, name)
    else:
        placing.make_room(parent, name)
        wanted.put(parent, name)


def _is(parent: PathHandle, name: str, side: Side | None) -> bool:
    """Return whether a path is what a side of a change says."""
    status = placing.status_at(parent, name)
    if status is None or side is None:
        return status is None and side is None
    if status.st_mode != side.mode:
        return False
    if stat.S_ISREG(status.st_mode):
        is_known = side.digest is not None and status.st_size == side.size
        return is_known and _digest(parent, name, side.size) == side.digest
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name, dir_fd=parent.descriptor) == side.target
    return True  # of anything else the kind and the permissions are all there is


def _digest(parent: PathHandle, name: str, size: int) -> str | None:
    """Return the SHA-256 of a regular file of that size, or `None` if it isn't one any more."""
    descriptor = os.open(name, placing.READ, dir_fd=parent.descriptor)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        data = file.read(size + 1)
    return hashlib.sha256(data).hexdigest() if len(data) == size else None


def _content(side: Side, contents: ContentReader) -> bytes | None:
    try:
        return None if side.content is None else contents.read(side.content)
    except ValueError as exc:
        raise _LeftError(f"its record can't be used: {exc}") from exc

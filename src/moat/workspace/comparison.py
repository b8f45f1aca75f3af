"""The comparison of two manifests of a workspace, and the contents of what has changed between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.workspace.changes import Change, Changes, Side
from moat.workspace.contents import FolderReader, Pack
from moat.workspace.manifest import (
    INODE,
    MODE,
    NOT_KEPT,
    SIZE,
    Content,
    Folder,
    Manifest,
    is_file,
    is_folder,
    join,
)
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# More than anybody reads, and a bound on what a hostile run can make us keep.
MAX_CHANGES: Final = 100_000


class Contents(Protocol):
    """Tells where the contents of changed files are kept."""

    def before(self, content: Content) -> Content:
        """Return the place of a content of the manifest before."""
        ...

    def after(self, path: str, folder: Folder, names: Iterable[str]) -> Mapping[str, Content]:
        """Return the contents of files in a folder of the manifest after, as far as they are known."""
        ...


def compare(before: Manifest, after: Manifest, contents: Contents) -> Changes:
    """Compare two manifests."""
    comparison = _Comparison(before, after, contents)
    found: list[Change] = []
    notes: list[str] = []
    for change in comparison.run():
        if len(found) == MAX_CHANGES:
            notes.append(f"more than {MAX_CHANGES} paths have changed: the rest is not listed")
            break
        found.append(change)
    notes += _notes(before, after)
    found.sort(key=lambda change: change.path.split("/"))
    return Changes(after.root, found, notes)


class Recorded:
    """Contents of two recorded manifests, which stay where they are."""

    def before(self, content: Content) -> Content:
        return content

    def after(self, path: str, folder: Folder, names: Iterable[str]) -> Mapping[str, Content]:
        del path, names
        return folder.contents


class Live(Recorded):
    """Contents of which those after are in the workspace itself, and are put into a pack."""

    def __init__(self, root: str, new: Pack) -> None:
        self._root = root
        self._new = new

    def after(self, path: str, folder: Folder, names: Iterable[str]) -> Mapping[str, Content]:
        found: dict[str, Content] = {}
        try:
            with FolderReader(self._root, path, folder.status[INODE]) as reader:
                for name in names:
                    content = reader.keep(name, folder.entries[name], self._new)
                    if content is not None:
                        found[name] = content
        except OSError:
            return found  # it is gone again: the change itself stands
        return found


class Copied(Live):
    """Contents that are put into a pack, those before from another one."""

    def __init__(self, root: str, old: Pack, new: Pack) -> None:
        super().__init__(root, new)
        self._old = old

    def before(self, content: Content) -> Content:
        compressed = self._old.compressed(content)
        if compressed is None:
            return content[0], NOT_KEPT, 0
        return self._new.append(content[0], compressed)


def _notes(before: Manifest, after: Manifest) -> Iterator[str]:
    late = set(before.late) & before.folders.keys()
    for path in sorted(late):
        yield (
            f"{_shown(path)} changed before it was recorded: files that were deleted there in the "
            "run's first moments may be missing here"
        )
    for path in sorted({*before.unreadable, *after.unreadable}):
        yield f"{_shown(path)} can't be read: what is in it was not compared"
    if not before.complete or not after.complete:
        yield "there is more in the workspace than can be looked at: not all of it was compared"


def _shown(folder: str) -> str:
    return quoted(f"{folder or '.'}/")  # a run may have chosen its name


class _Comparison:
    def __init__(self, before: Manifest, after: Manifest, contents: Contents) -> None:
        self._before = before
        self._after = after
        self._contents = contents
        self._late = set(before.late)
        # A run may make a folder look like one that tools fill. One that was there counts as it was.
        self._generated = {
            *before.generated,
            *(path for path in after.generated if path not in before.folders),
        }

    def run(self) -> Iterator[Change]:
        before, after = self._before.folders, self._after.folders
        unseen = {*self._before.unreadable, *self._after.unreadable}
        for path in dict.fromkeys((*before, *after)):
            was, now = before.get(path), after.get(path)
            if path in unseen or (was is None and not self._before.complete):
                continue
            if now is None and not self._after.complete:
                continue
            was, now = was or _NOTHING, now or _NOTHING
            if self._late or was.entries != now.entries or was.contents != now.contents:
                yield from self._in_folder(path, was, now)

    def _in_folder(self, path: str, was: Folder, now: Folder) -> Iterator[Change]:
        generated = self._generated_folder(path)
        names = [
            name
            for name in dict.fromkeys((*was.entries, *now.entries))
            if was.entries.get(name) != now.entries.get(name)
            or join(path, name) in self._late
            or _differ(was.contents.get(name), now.contents.get(name))
        ]
        files = [name for name in names if name in now.entries and is_file(now.entries[name])]
        read: Mapping[str, Content] = {}
        if files and not generated:
            read = self._contents.after(path, now, files)
        for name in names:
            change = Change(
                join(path, name),
                _side(was, name, self._kept_before(was, name)),
                _side(now, name, read.get(name)),
                generated,
                join(path, name) in self._late,
            )
            if change.late or self._is_change(change, was, now, name):
                yield change

    def _kept_before(self, was: Folder, name: str) -> Content | None:
        content = was.contents.get(name)
        return None if content is None else self._contents.before(content)

    def _is_change(self, change: Change, was: Folder, now: Folder, name: str) -> bool:
        before, after = change.before, change.after
        if before is None or after is None:
            # A folder shows by what is in it.
            present = was.entries.get(name) or now.entries[name]
            return not is_folder(present) or self._is_empty(change.path, gone=after is None)
        if before.mode != after.mode:
            return True
        if before.digest is not None and after.digest is not None:
            return before.digest != after.digest
        # Of a file that was not read, the metadata say that it may be another one.
        return before.is_file or before.target != after.target

    def _is_empty(self, path: str, *, gone: bool) -> bool:
        folder = (self._before if gone else self._after).folders.get(path)
        return folder is None or not folder.entries

    def _generated_folder(self, path: str) -> str | None:
        if not self._generated:
            return None
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            folder = "/".join(parts[:end])
            if folder in self._generated:
                return folder
        return None


def _differ(one: Content | None, other: Content | None) -> bool:
    """Return whether two contents differ; those of a file do that changed within a tick of the clock."""
    return one is not None and other is not None and one[0] != other[0]


def _side(folder: Folder, name: str, content: Content | None) -> Side | None:
    status = folder.entries.get(name)
    if status is None:
        return None
    if content is None:
        return Side(status[MODE], status[SIZE], target=folder.targets.get(name))
    digest, offset, length = content
    return Side(status[MODE], status[SIZE], digest.hex(), offset, length)


_NOTHING: Final = Folder((0, 0, 0, 0, 0))

"""A manifest: everything that lies in a folder at one moment, by metadata. Pure.

The order of a manifest is that of a search level by level, and in each folder the folders come first.
So the names of a folder, and the paths of its folders, are slices of two lists: whoever needs names
alone decodes nothing else (`Sections`).
"""

from __future__ import annotations

import json
import stat
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAGIC: Final = b"moat manifest 1\n"
_LENGTHS: Final = struct.Struct("<7Q")
_STATUS: Final = struct.Struct("<IqqqQ")
_COUNTS: Final = struct.Struct("<II")
_CONTENT: Final = struct.Struct("<32sqI")
_UNKNOWN: Final = bytes(32)
NOT_KEPT: Final = -1

# A change within the tick of the clock in which a file was looked at leaves no trace in its metadata.
# A tick is at most 10 ms; some filesystems count in whole seconds, or in two (git's racy-git.txt).
_TICK_NS: Final = 100_000_000
_COARSE_TICK_NS: Final = 2_000_000_000
_SECOND_NS: Final = 1_000_000_000


Status = tuple[int, int, int, int, int]
"""The mode, size, mtime, ctime and inode of a file. They tell whether it has changed, for a run can't
forge the ctime. It is a plain tuple, because there are tens of thousands of them."""

MODE, SIZE, MTIME, CTIME, INODE = range(5)

Content = tuple[bytes, int, int]
"""The SHA-256 of a file, and the offset and the (compressed) length at which its content is kept, or
`NOT_KEPT` and 0."""


@dataclass(slots=True)
class Folder:
    """A folder and the names in it; the folders among them come first."""

    status: Status
    entries: dict[str, Status] = field(default_factory=dict[str, Status])
    contents: dict[str, Content] = field(default_factory=dict[str, Content])
    """Contents of those files whose content is known."""
    targets: dict[str, str] = field(default_factory=dict[str, str])
    """Target of each symbolic link."""


@dataclass(slots=True)
class Manifest:
    """All folders of a root, by their path relative to it; the root's own is empty."""

    taken_at: int
    """The time (ns) when it was begun."""
    root: str = ""
    hidden: list[str] = field(default_factory=list[str])
    """Paths that were not looked at, because the run doesn't see them."""
    folders: dict[str, Folder] = field(default_factory=dict[str, Folder])
    unreadable: list[str] = field(default_factory=list[str])
    """Folders that could not be listed."""
    complete: bool = True
    """False if there was more than the bounds allow to look at."""
    generated: list[str] = field(default_factory=list[str])
    """The outermost folders that tools fill; of the files in them nothing is kept."""
    late: list[str] = field(default_factory=list[str])
    """Paths that changed before they were looked at. Of a file, what is known is older, if anything."""
    pack: str = ""
    """The name of the file in which contents are kept."""

    def folders_of_late(self) -> set[str]:
        """Return the folders that are late, or have something late in them: they may list too little."""
        return {*self.late, *(path.rpartition("/")[0] for path in self.late)}

    def settled(self, status: Status) -> bool:
        """Return whether a change after the manifest was taken would show in this status."""
        tick = _TICK_NS if status[CTIME] % _SECOND_NS else _COARSE_TICK_NS
        return status[CTIME] + tick < self.taken_at


def trusted(manifest: Manifest) -> Manifest:
    """Return a manifest for later looks, without the contents that may be older than they seem."""
    late = set(manifest.late)
    unsure = manifest.folders_of_late()
    folders = {
        path: Folder(
            folder.status if path not in unsure else _NO_STATUS,
            folder.entries,
            {
                name: content
                for name, content in folder.contents.items()
                if manifest.settled(folder.entries[name]) and join(path, name) not in late
            },
            folder.targets,
        )
        for path, folder in manifest.folders.items()
    }
    return replace(manifest, folders=folders, late=[])


_NO_STATUS: Final[Status] = (0, 0, 0, 0, 0)


def is_folder(status: Status) -> bool:
    return stat.S_ISDIR(status[MODE])


def is_file(status: Status) -> bool:
    return stat.S_ISREG(status[MODE])


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


_HEAD: Final = tuple("taken_at root hidden unreadable complete generated late pack".split())


def dumps(manifest: Manifest) -> bytes:
    folders = manifest.folders.values()
    targets = {
        join(path, name): target
        for path, folder in manifest.folders.items()
        for name, target in folder.targets.items()
    }
    sections = (
        json.dumps(
            {name: getattr(manifest, name) for name in _HEAD} | {"targets": targets}
        ).encode(),
        _names(manifest.folders),
        b"".join(_STATUS.pack(*folder.status) for folder in folders),
        b"".join(
            _COUNTS.pack(
                sum(is_folder(each) for each in folder.entries.values()), len(folder.entries)
            )
            for folder in folders
        ),
        _names(name for folder in folders for name in folder.entries),
        b"".join(_STATUS.pack(*each) for folder in folders for each in folder.entries.values()),
        b"".join(
            _CONTENT.pack(*folder.contents.get(name, _NO_CONTENT))
            for folder in folders
            for name in folder.entries
        ),
    )
    return b"".join((_MAGIC, _LENGTHS.pack(*map(len, sections)), *sections))


_NO_CONTENT: Final = (_UNKNOWN, NOT_KEPT, 0)


def _names(names: Iterable[str]) -> bytes:
    # Each ends in a zero byte: one empty name isn't the same as none.
    return "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")


class Sections:
    """A manifest's bytes, of which each part is decoded when it is asked for.

    Raises `ValueError` for anything else than a whole manifest.
    """

    def __init__(self, data: bytes) -> None:
        start = len(_MAGIC) + _LENGTHS.size
        if not data.startswith(_MAGIC) or len(data) < start:
            raise ValueError("not a manifest")
        lengths = _LENGTHS.unpack_from(data, len(_MAGIC))
        if start + sum(lengths) != len(data):
            raise ValueError("a manifest that was cut off")
        self._parts: list[memoryview] = []
        for length in lengths:
            self._parts.append(memoryview(data)[start : start + length])
            start += length

    def head(self) -> dict[str, Any]:
        return json.loads(bytes(self._parts[0]))

    def paths(self) -> list[str]:
        return _split(self._parts[1])

    def folder_statuses(self) -> list[Status]:
        return cast("list[Status]", list(_STATUS.iter_unpack(self._parts[2])))

    def counts(self) -> list[tuple[int, int]]:
        """Return for each folder how many folders there are in it, and how many names in all."""
        return cast("list[tuple[int, int]]", list(_COUNTS.iter_unpack(self._parts[3])))

    def names(self) -> list[str]:
        return _split(self._parts[4])

    def statuses(self) -> list[Status]:
        return cast("list[Status]", list(_STATUS.iter_unpack(self._parts[5])))

    def contents(self) -> list[Content]:
        return cast("list[Content]", list(_CONTENT.iter_unpack(self._parts[6])))


def _split(part: memoryview) -> list[str]:
    return bytes(part).decode(errors="surrogateescape").split("\0")[:-1]


def loads(data: bytes) -> Manifest:
    """Return the manifest in `data`. Raises `ValueError`."""
    try:
        return _manifest(Sections(data))
    except (struct.error, KeyError, TypeError) as exc:
        raise ValueError(f"a damaged manifest: {exc}") from exc


def _manifest(sections: Sections) -> Manifest:
    head = sections.head()
    names, statuses, contents = sections.names(), sections.statuses(), sections.contents()
    manifest = Manifest(**{name: head[name] for name in _HEAD})
    start = 0
    of_folders = zip(sections.paths(), sections.folder_statuses(), sections.counts(), strict=True)
    for path, status, (_, count) in of_folders:
        end = start + count
        folder = Folder(status)
        folder.entries = dict(zip(names[start:end], statuses[start:end], strict=True))
        folder.contents = {
            name: each
            for name, each in zip(names[start:end], contents[start:end], strict=True)
            if each[0] != _UNKNOWN
        }
        manifest.folders[path] = folder
        start = end
    for path, target in head["targets"].items():
        folder_path, _, name = path.rpartition("/")
        manifest.folders[folder_path].targets[name] = target
    return manifest

"""The sandbox's `/etc`: a copy of what everybody may read in the host's, and files of the run's own.

The host's /etc with covers over its secrets would not do. A cover is a mount on one file, and a tool
like passwd puts another file in its place, which nothing covers. So the sandbox gets a copy. Larger
folders are mounted as a whole if everybody may read all that is in them; a mount takes as long as
copying a dozen files.

Runs share the copy. It lies in the store under a fingerprint of its sources (modes, sizes, times), and
every sandbox mounts it read-only, so a start looks at a few hundred files and writes none. A run names
the copy that it uses in its private folder. A copy that no run names is removed when another is made.
Files that differ from run to run are mounted over blank files and folders at the top of the copy, and
links lead there from deeper places.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.engines.under_shim import secret_paths
from moat.paths import moat_home
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moat.engines.bubblewrap.mounts import Mounts

_SMALL_FOLDER: Final = 16
"""A folder with fewer entries is copied rather than mounted."""

_USED_COPY: Final = "settings"
"""The name of a link in a run's private folder, which leads to the copy that the run uses."""


@dataclass(frozen=True, slots=True)
class EtcFiles:
    """Files and links of the run's own, by path relative to /etc."""

    files: Mapping[str, str | bytes]
    """Contents of the files. A folder that has one of them has none of the host's files."""
    links: Mapping[str, str]
    """Symbolic links, also in folders of the host's, and where each leads."""


class _Entry(NamedTuple):
    """A file, link or folder in the sandbox's /etc."""

    path: str  # not `Path`, for speed: every start makes hundreds
    """Relative to /etc."""
    kind: str
    """"file", "link", "folder" to be filled, "mounted" as a whole, or "blank" to be covered."""
    version: tuple[int, ...] | str
    """A value that changes with the source; of a link, where it leads."""


def mount_etc(mounts: Mounts, private: Path, etc: EtcFiles) -> None:
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in etc.files.items():
        file = etc_file(private, path)
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    own = {path.partition("/")[0]: "/" in path for path in etc.files}
    entries = _entries(own, etc.links)
    mounts.bind_read_only(_shared_copy(entries, private), "/etc")
    for entry in entries:
        if entry.kind == "mounted":
            mounts.bind_read_only(Path("/etc", entry.path), f"/etc/{entry.path}")
    for name in own:
        mounts.bind_read_only(etc_file(private, name), f"/etc/{name}")


def etc_file(private: Path, path: str) -> Path:
    """Return where on the host the run's own file for this path of /etc lies."""
    return private / "etc" / path


# --- what /etc shows ---


def _entries(own: Mapping[str, bool], links: Mapping[str, str]) -> list[_Entry]:
    """Return everything in the sandbox's /etc, each folder before its contents.

    `own` has the names at the top that belong to the run, and whether each is a folder.
    """
    # A folder that is to hold a link can't be mounted: nothing can be added to the host's.
    filled = frozenset(above for path in links for above in _above(path))
    hidden = secret_paths.ETC_NAMES | secret_paths.ETC_SERVICES | own.keys()
    public = list(_public(_listing("/etc"), "", hidden, filled))
    entries = [entry for entry in public if entry.path not in links]
    missing = filled.difference(entry.path for entry in entries)
    entries += [_Entry(path, "folder", (0o755,)) for path in sorted(missing)]
    entries += [_Entry(path, "link", target) for path, target in sorted(links.items())]
    for name, is_folder in sorted(own.items()):
        entries.append(_Entry(name, "folder" if is_folder else "blank", (0o755,)))
    return entries


def _above(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents if parent.parts]


def _public(
    listing: Iterable[os.DirEntry[str]],
    below: str,
    hidden: frozenset[str],
    filled: frozenset[str],
) -> Iterator[_Entry]:
    """Yield what everybody may read in a folder, of which `below` is the path.

    The user who runs Moat may be able to read more, as root or as a member of the group `shadow`. So
    the permission bits for others decide, and not whether a file can be opened.
    """
    for entry in listing:
        path = f"{below}{entry.name}"
        if entry.name in hidden:
            continue
        if entry.is_symlink():
            yield _Entry(path, "link", os.readlink(entry.path))  # noqa: PTH115  strings, for speed
            continue
        status = entry.stat(follow_symlinks=False)
        mode = status.st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            version = (mode, status.st_ino, status.st_size, status.st_mtime_ns)
            yield _Entry(path, "file", version)
        elif stat.S_ISDIR(mode) and _for_everybody(mode):
            inside = _listing(entry.path)
            if path in filled or len(inside) < _SMALL_FOLDER or not _is_public(inside):
                yield _Entry(path, "folder", (mode,))
                yield from _public(inside, f"{path}/", secret_paths.ETC_NAMES, filled)
            else:
                yield _Entry(path, "mounted", (mode,))


def _listing(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=attrgetter("name"))


def _for_everybody(folder_mode: int) -> bool:
    return folder_mode & 0o005 == 0o005  # o+rx


def _is_public(listing: Iterable[os.DirEntry[str]]) -> bool:
    """Return whether everybody may read all of this and below, and no name suggests a secret."""
    for entry in listing:
        if entry.name in secret_paths.ETC_NAMES:
            return False
        if entry.is_symlink():
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if not _for_everybody(mode) or not _is_public(_listing(entry.path)):
                return False
        elif not mode & stat.S_IROTH:
            return False
    return True


# --- the shared copy ---


def _shared_copy(entries: list[_Entry], private: Path) -> Path:
    """Return the copy of these entries, made if need be, and note that this run uses it."""
    sources = "\0".join([f"{path}\0{kind}\0{version}" for path, kind, version in entries])
    fingerprint = sha256(os.fsencode(sources)).hexdigest()[:24]
    copies = moat_home() / "etc"
    copies.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = copies / fingerprint
    with lock.locked(copies / "lock"):
        if not copy.is_dir():
            _remove_unused(copies)
            unfinished = copies / "new"
            _make(entries, unfinished)
            unfinished.rename(copy)
        used = private / _USED_COPY
        used.unlink(missing_ok=True)
        used.symlink_to(copy)
    return copy


def _remove_unused(copies: Path) -> None:
    import shutil  # noqa: PLC0415  loads slowly

    links = copies.parent.glob(f"runs/*/private/{_USED_COPY}")
    in_use = {link.readlink().name for link in links}
    for path in copies.iterdir():
        if path.is_dir() and path.name not in in_use:
            shutil.rmtree(path)


def _make(entries: list[_Entry], target: Path) -> None:
    target.mkdir(mode=0o755)
    for entry in entries:
        copy = f"{target}/{entry.path}"
        if isinstance(entry.version, str):
            os.symlink(entry.version, copy)  # noqa: PTH211  strings, for speed
        elif entry.kind == "file":
            _copy_file(f"/etc/{entry.path}", copy, mode=entry.version[0])
        elif entry.kind == "blank":
            Path(copy).touch()
        else:
            os.mkdir(copy)  # noqa: PTH102  strings, for speed


def _copy_file(source: str, copy: str, mode: int) -> None:
    target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o755)
    try:
        original = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            copied = 0
            while sent := os.sendfile(target, original, copied, 1 << 20):
                copied += sent
        finally:
            os.close(original)
    finally:
        os.close(target)

"""The search of a toolchain for what no sandbox may see: secrets by their names, keys, and sockets.

Toolchains have tens of thousands of files and change seldom. So the folders of each are kept in the
store, with the time at which their entries last changed (st_ctime, which nobody can set), and a start
looks into those alone that have changed since.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.engines.bubblewrap.toolchains import secret_names
from moat.paths import moat_home
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

MAX_FOLDERS: Final = 100_000
"""More than any toolchain has, and a bound on how long a start may take."""
MAX_HIDDEN: Final = 400
"""Each is a mount. More are no oversight, but a folder full of secrets."""

# Compiled Python, which its interpreter writes and removes at will.
_SKIPPED: Final = "__pycache__"
# Manuals for people, a tenth of a toolchain's files or more, which aren't worth the search.
_SHARE: Final = "/share"
_MANUALS: Final = frozenset(("doc", "gtk-doc", "info"))
_BEGINNING: Final = 4096
_PRIVATE_KEY: Final = re.compile(rb"PRIVATE KEY-----")


class UnsearchableError(Exception):
    """A folder is too large to be searched, or has too much in it to hide."""


@dataclass(slots=True)
class Searched:
    """The facts known about a toolchain; all paths are relative to it."""

    folders: dict[str, int] = field(default_factory=dict[str, int])
    """Each folder that was searched, and the time (st_ctime_ns) of its last change before."""
    hidden: dict[str, bool] = field(default_factory=dict[str, bool])
    """Paths that the sandbox must not see, and whether each is a folder."""


def hidden_in(root: Path, omitted: Collection[str]) -> dict[str, bool]:
    """Return what of this folder a sandbox must not see: relative paths, and whether each is a folder.

    Folders at the top that are called as in `omitted` are among them. Raises `UnsearchableError`.
    """
    name = sha256(os.fsencode(root)).hexdigest()[:24]
    kept = moat_home() / "toolchains" / f"{name}.json"
    before = _read(kept)
    now = search(str(root), before, omitted)
    if now is not before:
        _write(kept, now)
    if len(now.hidden) > MAX_HIDDEN:
        raise UnsearchableError(f"{root} has {len(now.hidden)} files with names of secrets")
    return now.hidden


def search(root: str, before: Searched, omitted: Collection[str] = ()) -> Searched:
    """Search a folder again, of which `before` is known. Raises `UnsearchableError`."""
    changed = _changed_folders(root, before.folders)
    if not changed and before.folders:
        return before
    now = Searched({folder: at for folder, at in before.folders.items() if folder not in changed})
    for path, is_folder in before.hidden.items():
        if path not in changed and path.rpartition("/")[0] in now.folders:
            now.hidden[path] = is_folder
    ahead = deque(changed if before.folders else [""])
    while ahead:
        folder = ahead.popleft()
        _search_folder(root, folder, now, ahead, () if folder else omitted)
        if len(now.folders) > MAX_FOLDERS:
            raise UnsearchableError(f"{root} has more than {MAX_FOLDERS:,} folders")
    return now


def _changed_folders(root: str, folders: Mapping[str, int]) -> dict[str, None]:
    """Return those that are not as they were.

    Every start looks at thousands, so this is written for speed: the kernel walks relative paths.
    """
    changed: dict[str, None] = {}
    stat_at = os.stat
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder, at in folders.items():
            try:
                if stat_at(folder or ".", dir_fd=top, follow_symlinks=False).st_ctime_ns == at:
                    continue
            except OSError:
                pass  # it is gone
            changed[folder] = None
    finally:
        os.close(top)
    return changed


def _search_folder(
    root: str, folder: str, now: Searched, ahead: deque[str], omitted: Collection[str]
) -> None:
    """Note what there is in a folder, and put folders in it that nobody has searched `ahead`."""
    path = f"{root}/{folder}" if folder else root
    # Taken before it is read: what changes meanwhile makes the next search read it again.
    changed = _changed(path)
    if changed is None or folder in now.folders:
        return
    try:
        folders, files, links, others = _list(path)
    except OSError:  # nor can the sandbox list it, which is the same user's
        return
    now.folders[folder] = changed
    own_name = path.rpartition("/")[2]
    if own_name == secret_names.GIT:
        if _has(secret_names.LOGIN, f"{path}/config"):
            now.hidden[folder] = True
        return  # what is in it otherwise is what was committed
    below = f"{folder}/" if folder else ""
    for name in (*_hidden_folders(path, folders), *(n for n in folders if n in omitted)):
        now.hidden[below + name] = True
    for name in (*secret_names.secret_files(files, own_name), *_keys(path, files), *others):
        now.hidden[below + name] = False
    for name in secret_names.secret_files(links, own_name):
        _hide_target(root, below + name, now)
    ahead.extend(
        below + name
        for name in folders
        if name != _SKIPPED and below + name not in now.hidden and below + name not in now.folders
    )


def _hidden_folders(path: str, folders: list[str]) -> set[str]:
    hidden = secret_names.FOLDERS.keys() & folders
    if path.endswith(_SHARE):
        hidden |= _MANUALS & set(folders)
    return hidden


def _changed(folder: str) -> int | None:
    """Return when the entries of a folder last changed; `None` if it is no folder, or can't be seen."""
    try:
        status = os.lstat(folder)  # strings and not `Path`, for speed
    except OSError:
        return None
    return status.st_ctime_ns if stat.S_ISDIR(status.st_mode) else None


def _list(folder: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the names of folders, files, symbolic links, and of sockets, pipes and devices."""
    folders: list[str] = []
    files: list[str] = []
    links: list[str] = []
    others: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                (links if entry.is_symlink() else others).append(entry.name)
    return folders, files, links, others


def _hide_target(root: str, link: str, now: Searched) -> None:
    """Hide what a link with a secret's name leads to: the link itself shows nothing."""
    target = os.path.realpath(f"{root}/{link}")
    inside = os.path.relpath(target, os.path.realpath(root))
    if not inside.startswith("..") and os.path.isfile(target):  # noqa: PTH113  see `_changed`
        now.hidden[inside] = False


def _keys(folder: str, files: Iterable[str]) -> list[str]:
    if not secret_names.TESTS.isdisjoint(folder.split("/")):
        return []
    return [
        name
        for name in files
        if name.endswith(secret_names.KEYS) and _has(_PRIVATE_KEY, f"{folder}/{name}")
    ]


def _has(pattern: re.Pattern[bytes], path: str) -> bool:
    """Return whether a file has this at its beginning, or can't be read, for which there are reasons."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return pattern.search(os.read(fd, _BEGINNING)) is not None
    finally:
        os.close(fd)


def _read(kept: Path) -> Searched:
    """Return what an earlier start kept, if the rules have not changed since."""
    try:
        content = json.loads(kept.read_bytes())
        if content["rules"] == secret_names.FINGERPRINT:
            return Searched(content["folders"], content["hidden"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # there is none, or one of another version: the search begins anew
    return Searched()


def _write(kept: Path, now: Searched) -> None:
    content = {
        "rules": secret_names.FINGERPRINT,
        "folders": now.folders,
        "hidden": now.hidden,
    }
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError), lock.locked(kept.parent / "lock"):
        replace_file(kept, json.dumps(content).encode(), durable=False)

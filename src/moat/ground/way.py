"""The way to a path, with each symbolic link on it, and who else could change what is there."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, NamedTuple

_MAX_LINKS: Final = 40  # the kernel's own limit, path_resolution(7)
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class Step(NamedTuple):
    """A place on the way, and what is there; `None` where nothing is, or where we may not look."""

    path: str
    status: os.stat_result | None


def steps(path: str) -> list[Step]:
    """Return every place on the way to an absolute path, links and what they lead to among them.

    The last one is where the path leads. Raises `OSError` for more links than the kernel follows.
    """
    place, remaining, links = "/", _parts(path), 0
    found = [Step(place, _status(place))]
    while remaining:
        part = remaining.pop()
        if part == "..":
            place = os.path.dirname(place)  # noqa: PTH120  strings, for speed
            continue
        place = f"{place.rstrip('/')}/{part}"
        status = _status(place)
        found.append(Step(place, status))
        if status is not None and stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(place)  # noqa: PTH115  as above
            place = "/" if target.startswith("/") else os.path.dirname(place)  # noqa: PTH120
            remaining += _parts(target)
    if found[-1].path != place:
        found.append(Step(place, _status(place)))
    return found


def _parts(path: str) -> list[str]:
    """Return the names in a path, last one first."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def flaw(way: list[Step]) -> str | None:
    """Say how another user could change what a way leads to; `None` where only root and we can."""
    trusted = {0, os.geteuid()}
    if way[0].status is not None:
        # Whoever owns the root folder can replace everything. In a user namespace without root, the
        # system's files belong to nobody, and so does this folder.
        trusted.add(way[0].status.st_uid)
    for path, status in way:
        if status is None:
            return f"{path} does not exist, or we may not look at it"
        if status.st_uid not in trusted:
            return f"{path} belongs to another user ({status.st_uid})"
        if _others_may_write(status):
            return f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def _others_may_write(status: os.stat_result) -> bool:
    mode = status.st_mode
    if stat.S_ISLNK(mode) or not mode & _OTHERS:
        return False  # the mode of a link means nothing
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return False  # what lies there can be replaced by its owner alone, who is looked at next
    return bool(mode & stat.S_IWOTH) or not _is_private_group(status.st_gid, status.st_uid)


def _is_private_group(gid: int, owner: int) -> bool:
    """Return whether a group is root's, or holds nobody but the owner.

    Most distributions give each user a group of the same number, and a umask that lets it write.
    """
    if gid == 0:
        return True
    if gid != owner:
        return False
    import grp  # noqa: PLC0415  for the few files that a group may write

    try:
        return not grp.getgrgid(gid).gr_mem
    except KeyError:
        return True  # a group without an entry has no further members

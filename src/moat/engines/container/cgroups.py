"""The folders of a container's cgroups, for the processes that enter it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OCTAL = re.compile(r"\\([0-7]{3})")


def folders(membership: str, mountinfo: str) -> list[str]:
    """Return a folder for each hierarchy in which the container is.

    `membership` is the text of `/proc/PID/cgroup` of a process in it, `mountinfo` that of
    `/proc/self/mountinfo` here (proc_pid_cgroup(5), proc_pid_mountinfo(5)).
    """
    mounts = dict(_mounts(mountinfo))
    found: list[str] = []
    for line in membership.splitlines():
        _number, controllers, path = line.split(":", 2)
        place = mounts.get(controllers)
        if place is None:
            continue  # nothing limits by a hierarchy that is mounted nowhere
        root, mount = place
        if root == "/":
            found.append(mount + path)
        elif path == root or path.startswith(f"{root}/"):
            found.append(mount + path.removeprefix(root))
    return found


def _mounts(mountinfo: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the root and the place of each hierarchy, by the names that `/proc/PID/cgroup` uses."""
    for line in mountinfo.splitlines():
        fields, _, more = line.partition(" - ")
        root, mount = map(_unescaped, fields.split(" ")[3:5])
        kind, _source, options = more.split(" ", 2)
        if kind == "cgroup2":
            yield "", (root, mount)
        elif kind == "cgroup":
            yield from ((name, (root, mount)) for name in _controllers(options))


def _controllers(options: str) -> Iterator[str]:
    """Yield the names under which a hierarchy of version 1 may be listed."""
    names = [
        each for each in options.split(",") if each not in {"rw", "ro", "xattr", "clone_children"}
    ]
    yield ",".join(names)
    named = [each for each in names if each.startswith("name=")]
    yield from named


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)

"""Runs in a sandbox: tries to change every inode that can be reached, and prints which gave way.

    python3 inodes.py [OWN ...]

OWN are folders that belong to the sandbox. Everything else is tried by each of its paths, with changes
that would leave it as it is but for its times. The answer is JSON: {path: [changes that were made]}.
"""

# ruff: noqa: PTH101, PTH114, PTH115, PTH116, PTH118  hundreds of thousands of paths, as strings

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path

OWN = ("/workspace", "/home/agent", "/tmp", "/var/tmp", "/dev/shm", "/dev/pts", "/run", "/proc")
LINKS = ("exe", "cwd", "root", "fd/*", "ns/*", "map_files/*", "task/*/fd/*", "task/*/ns/*")
# Inodes that are nobody else's, by how the kernel names them in /proc/PID/fd.
NAMELESS = ("pipe:", "socket:", "anon_inode:")

changed: dict[str, list[str]] = {}
tried: set[str] = set()


def writing(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):  # a device is there to be written
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    else:
        raise PermissionError(errno.EPERM, "not tried")


def through_a_descriptor(path: str, status: os.stat_result) -> None:
    """Devices are opened as programs open them, and changed through that."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
    finally:
        os.close(fd)


CHANGES = {
    "chmod": lambda path, status: os.chmod(path, stat.S_IMODE(status.st_mode)),
    "fchmod": through_a_descriptor,
    "utime": lambda path, status: os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns)),
    "setxattr": lambda path, _status: os.setxattr(path, "user.moat", b"x"),
    "chown": lambda path, status: os.chown(path, status.st_uid, status.st_gid),
    "truncate": lambda path, status: os.truncate(path, status.st_size),
    "write": writing,
    "link": lambda path, _status: os.link(path, f"/tmp/link-{len(changed)}", follow_symlinks=True),
}


def attack(path: str) -> None:
    try:
        status = os.stat(path)
    except OSError:
        return
    tried.add(path)
    for name, change in CHANGES.items():
        try:
            change(path, status)
        except OSError:
            continue
        changed.setdefault(path, []).append(name)


def is_own(path: str) -> bool:
    return any(path == own or path.startswith(f"{own}/") for own in (*OWN, *sys.argv[1:]))


def of_the_file_system() -> None:
    for folder, folders, files in os.walk("/"):
        attack(folder)
        folders[:] = [name for name in folders if not is_own(os.path.join(folder, name))]
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                attack(path)


def of_processes() -> None:
    for pattern in LINKS:
        for path in map(str, Path("/proc").glob(f"[0-9]*/{pattern}")):
            try:
                target = os.readlink(path)
            except OSError:
                continue
            # What lies in the sandbox's own folders, and what another process has opened of /proc.
            if not is_own(target) and not target.startswith(NAMELESS):
                attack(path)


of_the_file_system()
of_processes()
for stream in (0, 1, 2):
    target = os.readlink(f"/proc/self/fd/{stream}")
    if not is_own(target) and not target.startswith(NAMELESS):
        attack(f"/proc/self/fd/{stream}")
sys.stdout.write(json.dumps({"changed": changed, "tried": len(tried)}) + "\n")

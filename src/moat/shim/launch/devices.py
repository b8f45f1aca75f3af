"""Devices of the host that a sandbox shows and must not change.

A bind mount of a device is the host's inode. Root's run, which owns it, could make /dev/null
unreadable for the whole machine; any run could open its terminal to other users. So whatever leads
into the sandbox leads through a read-only mount, descriptors too: a descriptor keeps the mount through
which it was opened.
"""

from __future__ import annotations

import os

from moat.shim import linux


def make_read_only(devices: list[str]) -> None:
    """Make devices read-only for this process and what it starts, by a mount namespace of its own.

    Mounts made here don't reach the host's namespace.
    """
    linux.unshare_mounts()
    for device in devices:
        linux.mount_read_only(device)


def open_read_only(terminal: int) -> int:
    """Open the terminal behind a descriptor anew, to be read and written, with an inode out of reach."""
    path = os.ttyname(terminal)
    make_read_only([path])
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)

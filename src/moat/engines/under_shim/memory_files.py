"""Files in memory, which reach other processes by their descriptors alone."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from moat.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

_EXECUTE_ONLY: Final = 0o111
_MFD_EXEC: Final = 0x10  # memfd_create(2), since Linux 6.3
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def plain(name: str, content: bytes) -> int:
    """Return a descriptor of a file with this content, to be read from its beginning."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def sealed_copy(program: Path) -> int:
    """Return a descriptor of a copy of a program that can be executed, but not read or changed.

    Bubblewrap becomes the init of a sandbox, and `/proc/1/exe` in there leads to the file that was
    executed. With a copy, that isn't the host's. The mode also makes the kernel keep the process
    closed to everybody in the sandbox (`shim.launch.start`). Raises `EngineError`.
    """
    copy = _executable(program.name)
    try:
        os.write(copy, program.read_bytes())
        os.fchmod(copy, _EXECUTE_ONLY)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(copy)
        raise
    return copy


def _executable(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except PermissionError as exc:
        raise EngineError(
            "this kernel executes no files in memory (vm.memfd_noexec is 2), and a sandbox needs its "
            "own copy of bubblewrap",
            "sudo sysctl -w vm.memfd_noexec=1",
        ) from exc
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, flags)  # an older kernel, where all of them can be executed

"""Paths, names and numbers that every sandbox has, whichever engine makes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moat.spec import RunSpec

SYSTEM_FOLDERS: Final = tuple(
    Path(name)
    for name in (
        *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"),
        *("/nix/store", "/gnu/store"),
    )
)

HOME: Final = "/home/agent"

TERMINALS: Final = 256
"""Ptys of a sandbox. All of a machine's together are some thousands (kernel.pty.max)."""


def hostname(spec: RunSpec) -> str:
    return spec.name[:63]  # RFC 1035 label; the kernel's limit is 64

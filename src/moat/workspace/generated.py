"""Folders that tools fill, and of whose files only metadata are recorded. Pure.

They hold most of the files of a project, and nobody reads a difference in them line by line: a diff
counts what has changed there, and names it when asked for that folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

_NAMES: Final = frozenset(
    (
        *("node_modules", "bower_components", ".pnpm-store", ".next", ".nuxt", ".turbo"),
        *(".venv", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
        *(".gradle", ".terraform", ".direnv"),
    )
)
# Names that people give to their own folders as well: here, the file that the tool leaves decides
# (bford.info/cachedir, PEP 405).
_AMBIGUOUS: Final = frozenset(("target", "build", "venv", "env", ".cache", "cache"))
_MARKERS: Final = ("CACHEDIR.TAG", "pyvenv.cfg")
# Of a git folder. Its configuration, hooks and references are recorded like any other file.
_IN_GIT: Final = frozenset(("objects", "logs", "lfs", "rr-cache"))


def is_generated(name: str, names: Container[str], beside: Container[str]) -> bool:
    """Return whether tools fill the folder `name`, with `names` in it and others `beside` it."""
    if name in _NAMES:
        return True
    if name in _AMBIGUOUS:
        return any(marker in names for marker in _MARKERS)
    return name in _IN_GIT and "HEAD" in beside and "objects" in beside

"""Files of a folder that git configurations name, so that git on the host obeys them."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config, git_settings
from moat.workspace.git_layout import read_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.git_config import Entry

# Includes within includes; git itself stops at ten levels.
_MAX_CONFIGS: Final = 32


def paths_named_by(root: Path, config: Path, base: Path) -> Iterator[PurePosixPath]:
    """Yield the paths in `root` that a configuration, or one that it includes, names.

    `base` is the folder in which git starts the programs that the configuration names.
    """
    for entry, folder in _settings(root, config, base):
        for path in _paths_in(root, entry, folder):
            if git_settings.names_path(entry) or path.is_file():
                yield PurePosixPath(path.relative_to(root))


def missing_programs(root: Path, config: Path, base: Path) -> Iterator[PurePosixPath]:
    """Yield the files in `root` that command lines of a configuration name and that don't exist."""
    for entry, folder in _settings(root, config, base):
        if git_settings.names_path(entry):
            continue
        for text in filter(git_settings.looks_like_path, git_settings.possible_paths(entry)):
            path = _path_in(root, folder, text)
            if path is not None and not os.path.lexists(path):
                yield PurePosixPath(path.relative_to(root))


def _settings(root: Path, config: Path, base: Path) -> Iterator[tuple[Entry, Path]]:
    """Yield every setting that names something, and the folder to which its paths are relative."""
    remaining, seen = [config], set[Path]()
    while remaining and len(seen) < _MAX_CONFIGS:
        file = remaining.pop()
        text = None if file in seen else read_config(file)
        seen.add(file)
        for entry in _entries(text or ""):
            if git_settings.is_include(entry):
                yield entry, file.parent
                remaining.extend(_paths_in(root, entry, file.parent))
            else:
                yield entry, base


@lru_cache(maxsize=8)
def _entries(text: str) -> list[Entry]:
    """Parse a text; the user's own configurations are looked at for every repository."""
    return [entry for entry in git_config.parse(text)[0] if git_settings.names_program(entry)]


def _paths_in(root: Path, entry: Entry, base: Path) -> Iterator[Path]:
    """Yield every path in `root` that one setting may name."""
    for text in git_settings.possible_paths(entry):
        path = _path_in(root, base, text)
        if path is not None:
            yield _husky_folder(root, path) if entry.key == "hookspath" else path


def _path_in(root: Path, base: Path, text: str) -> Path | None:
    """Return where a path of a configuration leads, if that is below `root`."""
    path = os.path.normpath(os.path.join(base, os.path.expanduser(text)))  # noqa: PTH111, PTH118
    for candidate in (path, os.path.realpath(path)):  # the user may call `root` by another name
        if Path(candidate) != root and Path(candidate).is_relative_to(root):
            return Path(candidate)
    return None


def _husky_folder(root: Path, hooks: Path) -> Path:
    """Return the folder of husky's hooks, which lie beside the folder `_` that it makes for git."""
    return hooks.parent if hooks.name == "_" and hooks.parent != root else hooks


def user_configs() -> tuple[Path, ...]:
    """Return the configurations that hold in every repository of the user."""
    home = Path.home()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (Path("/etc/gitconfig"), home / ".gitconfig", xdg / "git" / "config")

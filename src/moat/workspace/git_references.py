"""Files of a folder that git configurations and hooks refer to, so that git on the host obeys them."""

from __future__ import annotations

import os
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
    remaining, seen = [config], set[Path]()
    while remaining and len(seen) < _MAX_CONFIGS:
        file = remaining.pop()
        text = None if file in seen else read_config(file)
        seen.add(file)
        for entry in git_config.parse(text or "")[0]:
            is_include = git_settings.is_include(entry)
            for path in _paths_in(root, entry, file.parent if is_include else base):
                yield PurePosixPath(path.relative_to(root))
                if is_include:
                    remaining.append(path)


def _paths_in(root: Path, entry: Entry, base: Path) -> Iterator[Path]:
    """Yield the paths in `root` that one setting names: any path, or a file that a command line has."""
    for text in git_settings.possible_paths(entry):
        path = Path(os.path.normpath(os.path.join(base, os.path.expanduser(text))))  # noqa: PTH111, PTH118
        if path == root or not path.is_relative_to(root):
            continue
        if git_settings.names_path(entry) or path.is_file():
            yield _husky_folder(root, path) if entry.key == "hookspath" else path


def _husky_folder(root: Path, hooks: Path) -> Path:
    """Return the folder of husky's hooks, which lie beside the folder `_` that it makes for git."""
    return hooks.parent if hooks.name == "_" and hooks.parent != root else hooks


def linked_hooks(root: Path, hooks: Path) -> Iterator[PurePosixPath]:
    """Yield the files in `root` that symbolic links in the folder `hooks` make hooks."""
    if hooks.is_symlink() or not hooks.is_dir():
        return
    for name in os.listdir(hooks):  # noqa: PTH208  only names are needed
        target = Path(os.path.realpath(hooks / name))
        if (hooks / name).is_symlink() and target.is_file() and target.is_relative_to(root):
            yield PurePosixPath(target.relative_to(root))


def user_configs() -> tuple[Path, ...]:
    """Return the configurations that hold in every repository of the user."""
    home = Path.home()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (Path("/etc/gitconfig"), home / ".gitconfig", xdg / "git" / "config")

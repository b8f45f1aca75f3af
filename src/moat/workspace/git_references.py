"""Files of a folder that git configurations name, so that git on the host obeys them."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config, git_settings
from moat.workspace.git_layout import read_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.git_config import Entry

# Includes within includes; git itself stops at ten levels.
_MAX_CONFIGS: Final = 32
# A hostile run can leave any number of repositories with long configurations, and the user waits while
# they are read: 2 MiB take a fifth of a second, and so do some thousand names.
_MAX_TEXT: Final = 2 * 1024 * 1024
_MAX_NAMES: Final = 2_000

# Few configurations have such a word, and to search one is faster than to parse it.
_MAY_NAME: Final = re.compile("|".join(sorted(git_settings.NAMING_WORDS)), re.IGNORECASE)


class ConfigReader:
    """A reader of the configurations that hold in `root`, within a bound for all of them together."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries: dict[Path, list[Entry]] = {}
        self._text_left = _MAX_TEXT
        self._names_left = _MAX_NAMES
        self.unread: set[Path] = set()
        """Configurations that were beyond the bound, or had names beyond it."""

    def paths_named_by(self, config: Path, base: Path) -> Iterator[PurePosixPath]:
        """Yield the paths in `root` that a configuration, or one that it includes, names.

        `base` is the folder in which git starts the programs that the configuration names.
        """
        for entry, folder in self._settings(config, base):
            for path in _paths_in(self._root, entry, folder):
                if git_settings.names_path(entry) or path.is_file():
                    yield PurePosixPath(path.relative_to(self._root))

    def missing_programs(self, config: Path, base: Path) -> Iterator[PurePosixPath]:
        """Yield the files in `root` that command lines of a configuration name and that don't exist."""
        for entry, folder in self._settings(config, base):
            if git_settings.names_path(entry):
                continue
            for text in filter(git_settings.looks_like_path, git_settings.possible_paths(entry)):
                path = _path_in(self._root, folder, text)
                if path is not None and not os.path.lexists(path):
                    yield PurePosixPath(path.relative_to(self._root))

    def _settings(self, config: Path, base: Path) -> Iterator[tuple[Entry, Path]]:
        """Yield every setting that names something, and the folder to which its paths are relative."""
        remaining, seen = [config], set[Path]()
        while remaining and len(seen) < _MAX_CONFIGS:
            file = remaining.pop()
            entries = [] if file in seen else self._entries_of(file)
            seen.add(file)
            for entry in entries:
                if self._names_left == 0:
                    self.unread.add(file)
                    return
                self._names_left -= 1
                if git_settings.is_include(entry):
                    yield entry, file.parent
                    remaining.extend(_paths_in(self._root, entry, file.parent))
                else:
                    yield entry, base

    def _entries_of(self, file: Path) -> list[Entry]:
        """Parse a file once; the user's own configurations are looked at for every repository."""
        if file not in self._entries:
            text = read_config(file)
            self._entries[file] = self._parse(file, text) if text and _MAY_NAME.search(text) else []
        return self._entries[file]

    def _parse(self, file: Path, text: str) -> list[Entry]:
        if len(text) > self._text_left:
            self.unread.add(file)
            return []
        self._text_left -= len(text)
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
    return (Path("/etc/gitconfig"), *own_configs())


def own_configs() -> tuple[Path, ...]:
    """Return the configurations of the user's own; where two say something, the later one counts."""
    home = Path.home()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (xdg / "git" / "config", home / ".gitconfig")

"""Paths that the host obeys, and that no snapshot brings back as a run wrote them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.workspace.manifest import MODE, is_file, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.workspace.manifest import Manifest
    from moat.workspace.path_rules import PathTable

_GIT: Final = ".git"
# What makes git take a folder for a repository, whatever its name (setup.c, is_git_directory).
_IN_GIT: Final = frozenset(("HEAD", "objects", "refs"))


class Protection:
    """The paths of one workspace that programs on the host obey."""

    def __init__(
        self, table: PathTable, named: Iterable[str], manifests: Iterable[Manifest]
    ) -> None:
        """`named`: files that the configuration names. `manifests` show where repositories lie."""
        self._table = table
        self._named = {path.lower() for path in named}
        self._git = {
            path
            for manifest in manifests
            for path, folder in manifest.folders.items()
            if folder.entries.keys() >= _IN_GIT
        }

    def obeys(self, path: str) -> bool:
        """Return whether a program on the host obeys a path, or what is below it or above it."""
        parts = path.split("/")
        above = ("/".join(parts[:end]) for end in range(len(parts) + 1))
        if any(part.lower() == _GIT for part in parts) or not self._git.isdisjoint(above):
            return True
        lowered = path.lower()
        if any(lowered == each or each.startswith(f"{lowered}/") for each in self._named):
            return True
        return any(self._table.touches(parts[start:]) for start in range(len(parts)))


def is_as_at_start(path: str, there: Manifest, start: Manifest) -> bool:
    """Return whether a manifest has at a path what the start had, as far as that is known."""
    if path in start.late:
        return False
    parent, _, name = path.rpartition("/")
    mine, first = there.folders.get(parent), start.folders.get(parent)
    now = None if mine is None else mine.entries.get(name)
    then = None if first is None else first.entries.get(name)
    if now is None or then is None or mine is None or first is None:
        return now is None and then is None and parent not in start.late
    if now == then:
        return True
    if now[MODE] != then[MODE]:
        return False
    if is_file(now):
        content, before = mine.contents.get(name), first.contents.get(name)
        return content is not None and before is not None and content[0] == before[0]
    return is_folder(now) or (
        name in mine.targets and mine.targets[name] == first.targets.get(name)
    )

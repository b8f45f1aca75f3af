"""Paths that the host obeys, and that no snapshot brings back as a run wrote them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.workspace.discovery import is_git_folder
from moat.workspace.manifest import MODE, is_file, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.workspace.manifest import Manifest
    from moat.workspace.path_rules import PathTable

_GIT: Final = ".git"


class Protection:
    """The paths of one workspace that programs on the host obey."""

    def __init__(
        self, table: PathTable, named: Iterable[str], manifests: Iterable[Manifest]
    ) -> None:
        """`named`: files and folders that the configuration names, or git's.

        `manifests` show where repositories lie.
        """
        self._table = table
        self._named = {path.lower() for path in named}
        self._git = {
            path
            for manifest in manifests
            for path, folder in manifest.folders.items()
            if is_git_folder(folder.entries)
        }

    def obeys(self, path: str) -> bool:
        """Return whether a program on the host obeys a path, or what is below it or above it."""
        parts = path.split("/")
        if any(part.lower() == _GIT for part in parts):
            return True
        above = ["/".join(parts[:end]) for end in range(len(parts) + 1)]
        if not self._git.isdisjoint(above):
            return True
        lowered = path.lower()
        if not self._named.isdisjoint(each.lower() for each in above):
            return True
        if any(each.startswith(f"{lowered}/") for each in self._named):
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

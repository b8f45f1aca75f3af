"""The state of agents: what they keep from run to run, for each project and agent.

    $MOAT_HOME/state/KEY/project            the path of the project
    $MOAT_HOME/state/KEY/AGENT/...          folders of the agent's home, which runs mount and write

KEY is made from the project's path. Everything below AGENT was written by runs, whose commands may be
hostile: nothing on the host executes, imports or believes it, and nobody follows a link in there.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from moat.agents import kept_files
from moat.runs.rmtree import empty_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moat.agents.kept_files import KeptFile

FOLDER: Final = "state"
_PROJECT: Final = "project"
_LAST_TIME: Final = 253_402_214_400.0
"""The last day of the year 9999: calendars end there."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """State that one agent has kept of one project."""

    project: str
    agent: str
    folder: Path

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(each.status.st_size for each in self._files())

    @property
    def changed(self) -> float:
        """Seconds since the epoch at which a file of it was changed last; 0 without files.

        A run sets times as it likes, and on some file systems such as no calendar has.
        """
        times = (each.status.st_mtime for each in self._files())
        return min(max((0.0, *times)), _LAST_TIME)

    def paths(self) -> Iterator[str]:
        """Yield the paths of its files, relative to the agent's home."""
        return (each.path for each in self._files())

    def _files(self) -> Iterator[KeptFile]:
        return (each for each in kept_files.walk(self.folder) if not each.is_folder)

    def export(self, target: IO[bytes], without: Sequence[str]) -> None:
        """Write its files as a tar archive; no links, no other kinds of files, none of `without`."""
        kept_files.export(self.folder, target, without)

    def remove(self) -> None:
        """Delete it. Raises `OSError`."""
        empty_folder(self.folder)
        self.folder.rmdir()
        around = self.folder.parent
        if not _folders(around):
            empty_folder(around)
            around.rmdir()


def place(home: Path, project: str, agent: str) -> Path:
    """Return the folder of an agent's state for a project, which need not exist."""
    key = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    return home / FOLDER / key / agent


def prepare(folder: Path, project: str) -> None:
    """Make the folder that `place` has returned."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = folder.parent / _PROJECT
    if not note.exists():
        new = note.with_name(f"{_PROJECT}.{os.urandom(6).hex()}")  # another run may do the same
        new.write_bytes(os.fsencode(project))
        new.rename(note)


def states(home: Path) -> list[AgentState]:
    """Return all states, those of one project beside each other."""
    found: list[AgentState] = []
    for around in _folders(home / FOLDER):
        with suppress(FileNotFoundError):  # it is being made, or being removed
            project = os.fsdecode((around / _PROJECT).read_bytes())
            found += [AgentState(project, each.name, each) for each in _folders(around)]
    return sorted(found, key=lambda each: (each.project, each.agent))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []

"""The state of agents: what they keep from run to run, for each project and agent.

It lies in `$MOAT_HOME/state/KEY/AGENT`, folders of the agent's home that runs mount and write; see
`runs.project_folders`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from moat.agents import kept_files
from moat.runs import project_folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from moat.agents.kept_files import KeptFile

FOLDER: Final = "state"
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
        project_folders.remove(self.folder)


def place(home: Path, project: str, agent: str) -> Path:
    """Return the folder of an agent's state for a project, which need not exist."""
    return project_folders.place(home, FOLDER, project, agent)


def states(home: Path) -> list[AgentState]:
    """Return all states, those of one project beside each other."""
    return sorted(
        (AgentState(*each) for each in project_folders.folders(home, FOLDER)),
        key=lambda each: (each.project, each.agent),
    )

"""The viewer that leads: its terminal's size is the program's. Pure.

| what happens                                   | who leads then                               |
|------------------------------------------------|----------------------------------------------|
| a viewer comes that may type                   | it does, unless one that may type leads      |
| a viewer comes that only looks                 | who led before, perhaps nobody               |
| a key, a paste or a click comes from a viewer  | this viewer                                  |
| a terminal reports focus, motion or a new size | who led before                               |
| the leader leaves or dies                      | the newest that may type, or else the newest |
| any other leaves                               | who led before                               |

The program has the size of the leader's terminal, and follows it at once. A leader too small to work in
changes nothing while others watch. Where nobody leads the size stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from moat.spec import TerminalSize

if TYPE_CHECKING:
    from moat.spec import PixelSize

# No terminal that a person works in is smaller.
SMALLEST: Final = TerminalSize(columns=10, rows=3)


class Candidate(Protocol):
    """A viewer with a terminal."""

    @property
    def size(self) -> TerminalSize: ...

    @property
    def pixels(self) -> PixelSize: ...

    @property
    def may_type(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


class Leading(Generic[C]):
    """The viewers that have a terminal, and the one of them that leads."""

    def __init__(self) -> None:
        self._viewers: list[C] = []
        """The newest is the last."""
        self.leader: C | None = None

    def came(self, viewer: C) -> None:
        self._viewers.append(viewer)
        if viewer.may_type and (self.leader is None or not self.leader.may_type):
            self.leader = viewer

    def typed(self, viewer: C) -> None:
        """Let the viewer lead, on whose keyboard or mouse a key was pressed."""
        if viewer.may_type and viewer in self._viewers:
            self.leader = viewer

    def left(self, viewer: C) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)
        if viewer is self.leader:
            typing = [each for each in self._viewers if each.may_type]
            self.leader = next(reversed(typing or self._viewers), None)

    @property
    def deciding(self) -> C | None:
        """The leader, where the program is to have its size; `None` where that stays as it is."""
        leader = self.leader
        if leader is None or (_is_tiny(leader.size) and len(self._viewers) > 1):
            return None
        return leader


def _is_tiny(size: TerminalSize) -> bool:
    return size.columns < SMALLEST.columns or size.rows < SMALLEST.rows

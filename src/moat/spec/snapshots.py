"""Snapshots of a run's workspace: the moments that make one, and how many are kept. Pure."""

from dataclasses import dataclass
from typing import Literal

Trigger = Literal["detach", "turn", "end"]
"""Moments at which a snapshot is made: the last viewer leaves, an agent's turn is over, the run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """The rules for the snapshots of one run."""

    on: tuple[Trigger, ...] = ()
    keep: int = 20
    """The number of snapshots that Moat has made by itself and that are kept, the newest."""
    max_age: float | None = None
    """Seconds for which those are kept; `None`: as long as the run."""
    limit: int = 256 * 1024 * 1024
    """Bytes of contents that all snapshots of the run take together."""

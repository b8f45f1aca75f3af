"""States of a container, in the words of Docker and of Podman. Pure.

A word that is not in the table is `UNKNOWN`: nobody can tell what it means, so nothing is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Condition(StrEnum):
    """The condition of a container."""

    CREATED = auto()
    RUNNING = auto()
    PAUSED = auto()
    """The container's processes are frozen, and are not even killed before it goes on."""
    ENDED = auto()
    """The container has run, or failed to start, and nothing of it runs now."""
    GOING = auto()
    """The container is being stopped, restarted or removed."""
    UNKNOWN = auto()


_CONDITIONS: Final[Mapping[str, Condition]] = {
    "created": Condition.CREATED,
    "configured": Condition.CREATED,
    "initialized": Condition.CREATED,
    "running": Condition.RUNNING,
    "paused": Condition.PAUSED,
    "exited": Condition.ENDED,
    "stopped": Condition.ENDED,
    "dead": Condition.ENDED,
    "stopping": Condition.GOING,
    "restarting": Condition.GOING,
    "removing": Condition.GOING,
}


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as an engine describes it."""

    condition: Condition
    pid: int | None
    """Process id of the container's init, as the engine's machine numbers it."""
    out_of_memory: bool
    """The kernel has killed a process of it because its memory was used up."""
    error: str
    exit_code: int | None = None
    """The exit code of the container's first process, once it has ended."""

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Self:
        """Read the answer to `GET /containers/ID/json`; what is missing there is unknown."""
        state = description.get("State")
        if not isinstance(state, dict):
            return cls(Condition.UNKNOWN, None, out_of_memory=False, error="")
        known: dict[str, Any] = state  # pyright: ignore[reportUnknownVariableType]  a JSON object
        condition = _CONDITIONS.get(str(known.get("Status")), Condition.UNKNOWN)
        pid, code = known.get("Pid"), known.get("ExitCode")
        ended = condition is Condition.ENDED and isinstance(code, int)
        return cls(
            condition,
            pid if isinstance(pid, int) and pid > 0 else None,
            out_of_memory=known.get("OOMKilled") is True,
            error=str(known.get("Error") or ""),
            exit_code=code if ended else None,
        )

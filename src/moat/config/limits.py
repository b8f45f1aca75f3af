"""Upper bounds of a run: the table of their fields, and those of three sources joined.

What a project says can only lower the user's own: its file may be a stranger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.config import budget
from moat.config.fields import Effect, Field, positive
from moat.spec.run import Limits
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "memory": lambda value: parse_memory(str(value)),
    "cpus": lambda value: value,
    "pids": lambda value: value,
    "timeout": lambda value: parse_duration(str(value)),
}
FIELD: Final = Field(
    "object",
    "Upper bounds for all processes of the sandbox together, and for what goes over its network. A"
    " project can only lower the user's.",
    fields={
        "memory": Field(
            "quantity",
            "Memory, in bytes or like 512m or 2g.",
            _READ["memory"],
            effect=Effect.NEUTRAL,
        ),
        "cpus": Field("number", "CPU seconds per second.", positive, effect=Effect.NEUTRAL),
        "pids": Field(
            "integer",
            "Processes and threads; 4096 without it.",
            positive,
            effect=Effect.NEUTRAL,
        ),
        "timeout": Field(
            "quantity",
            "Time after which the run is stopped: 30m, 2h.",
            _READ["timeout"],
            effect=Effect.NEUTRAL,
        ),
        **budget.FIELDS,
    },
)

OPTIONS: Final = tuple(_READ)
"""The fields that have options of their own on the command line."""


def join(
    options: Mapping[str, Any], project: Mapping[str, Any], own: Mapping[str, Any]
) -> tuple[Limits, float | None]:
    """Return the limits and the timeout. Raises `UsageError` for an amount that can't be read.

    The command line's `options` win; of the project's and the user's `own` the lower one counts.
    """
    joined = {name: budget.least(name, read, options, project, own) for name, read in _READ.items()}
    timeout = joined.pop("timeout")
    return Limits(**joined), timeout

"""`retention` in the user's settings: how many ended runs are kept, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.config.fields import Field, not_negative
from moat.runs.retention import Retention
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD: Final = Field(
    "object",
    "Bounds for runs that have ended. Those beyond are removed, the oldest first, in the background, but"
    " for runs of which something was quarantined.",
    fields={
        "age": Field(
            "quantity", "Time since a run's end: 30d, 12h.", lambda v: parse_duration(str(v))
        ),
        "runs": Field("integer", "Number of runs.", not_negative),
        "size": Field(
            "quantity", "Disk space of all of them, like 5g.", lambda v: parse_memory(str(v))
        ),
    },
)


def retention(section: Mapping[str, Any]) -> Retention:
    """Return the bounds of a checked section."""
    return Retention(
        age=parse_duration(str(section["age"])) if "age" in section else None,
        runs=section.get("runs"),
        size=parse_memory(str(section["size"])) if "size" in section else None,
    )

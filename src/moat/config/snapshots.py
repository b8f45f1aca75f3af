"""`snapshots` in the user's settings: when the workspace of a run is recorded besides its start.

A project's file has no such field. A run could write one, and take from the next run what protects its
user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from moat.config.fields import Field, at_least, positive
from moat.spec.snapshots import Snapshots, Trigger
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

TRIGGERS: Final[tuple[Trigger, ...]] = get_args(Trigger)
DEFAULT: Final[tuple[Trigger, ...]] = ("detach", "end")


def _check_trigger(name: str) -> None:
    if name not in TRIGGERS:
        raise ValueError(f"there is no {name!r}; known: {', '.join(TRIGGERS)}")


FIELD: Final = Field(
    "object",
    "Snapshots of the workspace. The start of a run is always recorded.",
    fields={
        "on": Field(
            "strings",
            "When one is taken without being asked for: `detach` (the last viewer leaves), `turn` (an"
            " agent is done and waits for you), `end`. [detach, end] without it; [] for never.",
            each=_check_trigger,
        ),
        "keep": Field(
            "integer",
            "How many of those are kept of a run, the newest; 20 without it.",
            positive,
        ),
        "max_age": Field(
            "quantity",
            "How long those are kept, like 30d; as long as the run without it.",
            lambda v: at_least(parse_duration(str(v)), 60, "1m"),
        ),
        "limit": Field(
            "quantity",
            "What the contents of all snapshots of a run may take, like 256m, which it is without it.",
            lambda v: at_least(parse_memory(str(v)), 1 << 20, "1m"),
        ),
    },
)


def rules(section: Mapping[str, Any]) -> Snapshots:
    """Return the rules that a checked section makes."""
    given: dict[str, Any] = {"on": tuple(dict.fromkeys(section.get("on", DEFAULT)))}
    if "keep" in section:
        given["keep"] = section["keep"]
    if "max_age" in section:
        given["max_age"] = parse_duration(str(section["max_age"]))
    if "limit" in section:
        given["limit"] = parse_memory(str(section["limit"]))
    return Snapshots(**given)

"""`protected_paths:`, rows that settings and `agent.yaml` add to the table of protected paths.

A row only narrows what a run may do, so one from a project needs nobody's consent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from moat.config.fields import Effect, Field
from moat.spec.protected_path import ProtectedPath, Treatment, check_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every folder of the workspace is searched for each of them, while the user waits.
_MAX_ROWS: Final = 100


def _check_row(row: Mapping[str, Any]) -> None:
    if "path" not in row:
        raise ValueError("a row needs a path")


def _check_number(rows: list[object]) -> None:
    if len(rows) > _MAX_ROWS:
        raise ValueError(f"{len(rows)} rows are too many: {_MAX_ROWS} at most")


FIELD: Final = Field(
    "objects",
    "Paths to protect besides those that Moat knows, at any depth of the workspace.",
    check=_check_number,
    each=_check_row,
    effect=Effect.NARROWS,
    fields={
        "path": Field(
            "string", "Relative path; a star is any part of a name: `deploy/*.sh`.", check_pattern
        ),
        "program": Field("string", "Program that obeys the path, for messages."),
        "treatment": Field(
            "enum",
            "`read-only`, or `watched`: writable, but named at the end if it is new or changed.",
            choices=get_args(Treatment),
        ),
    },
)


def protected_paths(file: Mapping[str, Any]) -> tuple[ProtectedPath, ...]:
    """Return the rows of a checked file."""
    return tuple(ProtectedPath(**row) for row in file.get("protected_paths", ()))

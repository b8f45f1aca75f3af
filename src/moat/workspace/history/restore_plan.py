"""The changes that a restore undoes, and those that it leaves. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moat.workspace.history.protection import is_as_at_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moat.workspace.changes import Change
    from moat.workspace.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Plan:
    """The differences between a snapshot and the present."""

    undone: list[Change] = field(default_factory=list["Change"])
    protected: list[str] = field(default_factory=list[str])
    """Paths that the host obeys, and that aren't in the snapshot what they were at the start."""


def plan(
    changes: Iterable[Change],
    wanted: Manifest,
    start: Manifest,
    *,
    obeys: Callable[[str], bool],
    is_meant: Callable[[Change], bool],
) -> Plan:
    """Return what a restore to the manifest `wanted` does.

    `changes` leads from there to the present. `is_meant` tells which of them the user means; `obeys`
    tells of a path whether programs on the host obey it.
    """
    found = Plan()
    for change in changes:
        if not is_meant(change):
            continue
        if obeys(change.path) and not is_as_at_start(change.path, wanted, start):
            found.protected.append(change.path)
        else:
            found.undone.append(change)
    return found

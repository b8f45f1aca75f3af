"""The names of snapshots: `RUN@NAME`. Pure.

A name is a number, a label, `start`, `end`, or `last` for the newest. No name of a run has an @.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.errors import UsageError
from moat.workspace.history.record import END, Head

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST: Final = "last"
_LONGEST: Final = 80


class Fixed(StrEnum):
    """A state of a workspace that is no snapshot."""

    START = "start"
    NOW = "now"


_RESERVED: Final = frozenset((*Fixed, _LAST, END))


State = Head | Fixed
"""A state of a workspace."""


class Reference(NamedTuple):
    """A snapshot as a user names it."""

    run: str | None
    """`None`: the run that commands are about by default."""
    name: str


def parse(text: str) -> Reference:
    """Return what a text names. Raises `UsageError`."""
    run, at, name = text.partition("@")
    if not at or not name:
        raise UsageError(
            f"{text!r} names no snapshot",
            f"Write RUN@NUMBER or RUN@LABEL, such as {run or 'my-run'}@1 or {run or 'my-run'}@start",
        )
    return Reference(run or None, name)


def check_label(label: str) -> str:
    """Return a label. Raises `UsageError` for one that isn't a name, or is another's."""
    if not label.isprintable() or not label.strip() or len(label) > _LONGEST:
        raise UsageError(
            f"{label!r} can't be a label", f"It has 1 to {_LONGEST} printable characters"
        )
    if label in _RESERVED or label.isdecimal():
        raise UsageError(f"{label!r} is a snapshot's name already", "Choose another label")
    return label


def choose(heads: Sequence[Head], name: str) -> State:
    """Return the state of that name, the newest of several. Raises `UsageError` where there is none."""
    if name in set(Fixed):
        return Fixed(name)
    newest_first = sorted(heads, key=lambda head: -head.number)
    if name == _LAST:
        return newest_first[0] if newest_first else Fixed.START
    for head in newest_first:
        if name in {str(head.number), head.label or None} or (head.reason == END == name):
            return head
    raise UsageError(f"there is no snapshot {name!r}", "See them: moat snapshot list RUN")

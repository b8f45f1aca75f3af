"""The snapshots that have to go. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.workspace.history.record import ASKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.workspace.history.record import Head

_NS: Final = 1_000_000_000


def expired(heads: Iterable[Head], keep: int, max_age: float | None, now: int) -> list[int]:
    """Return the numbers of the snapshots that Moat made by itself and that aren't to be kept.

    Those that a user asked for stay, and so does the newest, whatever its age. `now` is in nanoseconds,
    `max_age` in seconds.
    """
    own = sorted((head for head in heads if head.reason != ASKED), key=lambda head: head.number)
    newest = own[-1:]
    return beyond(own[:-1], max(keep, 1) - len(newest), max_age, now)


def beyond(heads: Sequence[Head], keep: int, max_age: float | None, now: int) -> list[int]:
    """Return the numbers of all but the `keep` newest snapshots, and of those that are older."""
    ordered = sorted(heads, key=lambda head: head.number)
    kept = ordered[max(len(ordered) - keep, 0) :]
    young = {
        head.number for head in kept if max_age is None or now - head.taken_at <= max_age * _NS
    }
    return [head.number for head in ordered if head.number not in young]

"""The plan by which the changes in a copy are put into the workspace that was copied. Pure.

Each changed path has three states: what was there when the workspace was copied, what the run left in
its copy, and what is in the workspace now. Where somebody has changed the workspace since, that is a
conflict, and then nothing is put there at all.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from moat.workspace.patch import kind_of, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moat.workspace.changes import Change, Side


class Verdict(Enum):
    APPLY = auto()
    DONE = auto()
    """The workspace has it already."""
    HELD = auto()
    """It stays in the copy, and the others don't depend on it."""
    CONFLICT = auto()


class Seen(NamedTuple):
    """The workspace's own state of a changed path."""

    exists: bool = False
    is_before: bool = False
    """It is as it was when it was copied."""
    is_after: bool = False
    """It is as the run left it in the copy."""
    blocked: str = ""
    """The reason why nothing can be put there, whoever wants it."""
    lost: str = ""
    """The reason why the copy hasn't what the run left there."""


@dataclass(frozen=True, slots=True)
class Step:
    """The decision about one changed path."""

    change: Change
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All decisions, in the order of the paths."""

    steps: tuple[Step, ...]

    def having(self, verdict: Verdict) -> list[Step]:
        return [step for step in self.steps if step.verdict is verdict]

    def in_order(self) -> list[Change]:
        """Return what is to be done: nothing is in the way of what comes after it.

        Folders that become writable go first, then what the run removed, innermost first. Other
        permissions of folders come last, because a folder may become read-only.
        """
        todo = [step.change for step in self.having(Verdict.APPLY)]
        removed = [each for each in todo if each.after is None]
        modes = [each for each in todo if _is_mode_of_folder(each)]
        others = [each for each in todo if each.after is not None and not _is_mode_of_folder(each)]
        opened = [each for each in modes if _becomes_writable(each)]
        closed = [each for each in modes if not _becomes_writable(each)]
        return [*opened, *reversed(removed), *others, *reversed(closed)]


def make_plan(
    changes: Iterable[Change],
    look: Callable[[Change], Seen],
    hold: Callable[[Change], str],
    *,
    force: bool,
) -> Plan:
    """Decide about each change.

    `look` tells the workspace's state, `hold` gives the reason for which a change isn't to be taken over
    or nothing. With `force`, what the run left replaces what somebody has changed since.
    """
    ordered = sorted(changes, key=lambda change: change.path.split("/"))
    steps = [_decide(change, look(change), hold(change), force=force) for change in ordered]
    held = [step.change.path for step in steps if step.verdict is Verdict.HELD]
    return Plan(tuple(_with_what_is_in_it(step, held) for step in steps))


def decide(change: Change, seen: Seen, *, force: bool) -> Step:
    """Decide about a change that nobody obeys."""
    if seen.is_after:
        return Step(change, Verdict.DONE)
    if seen.lost:
        return Step(change, Verdict.HELD, seen.lost)
    if seen.blocked:
        return Step(change, Verdict.CONFLICT, seen.blocked)
    if seen.is_before or force:
        return Step(change, Verdict.APPLY)
    if change.before is None:
        reason = "somebody has made another one there"
    elif not seen.exists:
        reason = "it was removed there"
    else:
        reason = "it was changed there"
    return Step(change, Verdict.CONFLICT, reason)


def _decide(change: Change, seen: Seen, held: str, *, force: bool) -> Step:
    step = decide(change, seen, force=force)
    if step.verdict in {Verdict.DONE, Verdict.HELD}:
        return step
    if change.after is not None and not _can_be_put(change.after):
        return Step(change, Verdict.HELD, f"it is a {kind_of(change.after.mode)}")
    return Step(change, Verdict.HELD, held) if held else step


def _can_be_put(side: Side) -> bool:
    if stat.S_ISLNK(side.mode):
        return bool(side.target)
    return stat.S_ISREG(side.mode) or stat.S_ISDIR(side.mode)


def _with_what_is_in_it(step: Step, held: list[str]) -> Step:
    """Hold the removal of a folder in which something is held, and what would take its place."""
    change = step.change
    was_folder = change.before is not None and stat.S_ISDIR(change.before.mode)
    is_folder = change.after is not None and stat.S_ISDIR(change.after.mode)
    if step.verdict is not Verdict.APPLY or not was_folder or is_folder:
        return step
    inside = next((each for each in held if each.startswith(f"{change.path}/")), None)
    if inside is None:
        return step
    return Step(change, Verdict.HELD, f"{quoted(inside)} stays in it")


def _is_mode_of_folder(change: Change) -> bool:
    return all(
        each is not None and stat.S_ISDIR(each.mode) for each in (change.before, change.after)
    )


def _becomes_writable(change: Change) -> bool:
    before, after = change.before, change.after
    if before is None or after is None:
        return False
    return before.mode & stat.S_IRWXU != stat.S_IRWXU == after.mode & stat.S_IRWXU


def leads_out(path: str, target: str) -> bool:
    """Return whether a symbolic link at a path of the workspace names something outside of it.

    It goes by the names alone: another link on the way may lead anywhere.
    """
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return False

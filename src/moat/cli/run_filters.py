"""Conditions on runs, `KEY=VALUE`, in the manner of Docker's `--filter`. Pure.

Of several conditions with the same key one has to hold, and of each key at least one.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from moat.agents.waiting import KINDS
from moat.cli.output import seconds_since_epoch
from moat.errors import UsageError
from moat.runs.states import ENDED, State
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moat.runs.store import Run

    Condition = Callable[[Run], bool]

HELP: Final = (
    "Conditions name=GLOB, state=STATE, exit=CODE, waits_for=KIND (or any), workspace=PATH,"
    " until=DURATION (older)."
)


class RunFilters:
    """The conditions of a command line."""

    def __init__(self, texts: Iterable[str], now: float) -> None:
        """Read the conditions; `now` is in seconds since the epoch. Raises `UsageError`."""
        self._by_key: dict[str, list[Condition]] = {}
        for text in texts:
            key, equals, value = text.partition("=")
            make = _CONDITIONS.get(key)
            if make is None or not equals:
                raise UsageError(
                    f"{text!r} is not a filter", f"Write KEY=VALUE with {', '.join(_CONDITIONS)}"
                )
            self._by_key.setdefault(key, []).append(make(value, now))

    @property
    def about_ended(self) -> bool:
        """Return whether the conditions are about how runs end, and so about those that have."""
        return bool({"state", "exit"} & self._by_key.keys())

    def select(self, runs: Iterable[Run]) -> list[Run]:
        return [run for run in runs if all(map(self._holds(run), self._by_key.values()))]

    @staticmethod
    def _holds(run: Run) -> Callable[[Sequence[Condition]], bool]:
        return lambda conditions: any(condition(run) for condition in conditions)


def _name(glob: str, _now: float) -> Condition:
    return lambda run: fnmatchcase(run.name, glob)


def _state(text: str, _now: float) -> Condition:
    states = {"ended": ENDED, "active": frozenset(State) - ENDED}
    known = states.get(text) or frozenset(state for state in State if str(state) == text)
    if not known:
        names = ", ".join([*map(str, State), *states])
        raise UsageError(f"there is no state {text!r}", f"Known: {names}")
    return lambda run: run.state in known


def _exit(text: str, _now: float) -> Condition:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"exit={text} is not an exit code", "Write a number from 0 to 255")
    code = int(text)
    return lambda run: run.exit_code == code


def _waits_for(text: str, _now: float) -> Condition:
    if text == "any":
        return lambda run: bool(run.waits_for)
    if text not in KINDS:
        raise UsageError(f"no run waits for {text!r}", f"Known: {', '.join((*KINDS, 'any'))}")
    return lambda run: run.waits_for == text


def _workspace(path: str, _now: float) -> Condition:
    folder = os.path.abspath(path)  # noqa: PTH100  keeps symbolic links, as runs do
    return lambda run: run.workspace == folder or run.workspace.startswith(f"{folder.rstrip('/')}/")


def _until(duration: str, now: float) -> Condition:
    latest = now - parse_duration(duration)
    return lambda run: seconds_since_epoch(run.stopped_at or run.created_at) <= latest


_CONDITIONS: Final[Mapping[str, Callable[[str, float], Condition]]] = {
    "name": _name,
    "state": _state,
    "exit": _exit,
    "waits_for": _waits_for,
    "workspace": _workspace,
    "until": _until,
}

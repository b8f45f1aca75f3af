"""Refuses a run that would be given what Moat, the host or the user obeys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.ground.areas import Area, Ground, is_in, refuse_overlap, refuse_unfit
from moat.ground.own import own_ground
from moat.ground.way import steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moat.spec import Mount

_USERS: Final = "/etc/passwd"
_FIRST_PERSON: Final = 1000  # login.defs(5); below are services, and above `_NOBODY`, too
_NOBODY: Final = 65534


class Surroundings(NamedTuple):
    """The things that this process obeys besides its own code."""

    store: str
    """MOAT_HOME."""
    environment: Mapping[str, str]
    """The user's."""
    programs: Sequence[str] = ()
    """The host's programs that it starts."""
    command: str = ""
    """The path by which it was started; empty for a program that isn't `moat`."""


def check_areas(
    workspace: str,
    mounts: Sequence[Mount],
    around: Surroundings,
    *,
    others: Sequence[str] = (),
) -> None:
    """Raise `UsageError` unless a run can be given these without any danger to the host.

    `others` are folders that it is to write besides.
    """
    areas = [Area(f"workspace {workspace}", os.path.realpath(workspace), is_workspace=True)]
    areas += [
        Area(
            f"mount {mount.source}:{mount.target}",
            os.path.realpath(mount.source),
            writable=mount.mode == "rw",
        )
        for mount in mounts
    ]
    areas += [Area(f"repository {path}", os.path.realpath(path)) for path in others]
    homes = tuple(dict.fromkeys(_homes(around.environment)))
    for area in areas:
        refuse_unfit(area, homes)
    grounds = [
        *own_ground(around.environment, around.store, around.command),
        *map(_program, around.programs),
    ]
    searched = tuple(_searched(around.environment.get("PATH", ""), areas[0]))
    for area in areas:
        if area.writable:
            refuse_overlap(area, grounds)
            refuse_overlap(area, searched)


def _homes(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the home folders of the user and of this machine's other people."""
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
    yield os.path.realpath(home)
    with open(_USERS, errors="replace", encoding="utf-8") as file:  # noqa: PTH123  at every start
        for line in file:
            match line.split(":"):
                case [_, _, uid, _, _, folder, _] if _is_person(uid) and folder.startswith("/"):
                    yield os.path.realpath(folder)
                case _:
                    continue


def _is_person(uid: str) -> bool:
    return uid == "0" or (uid.isdecimal() and int(uid) >= _FIRST_PERSON and int(uid) != _NOBODY)


def _program(path: str) -> Ground:
    places = tuple(step.path for step in steps(path))
    return Ground("which Moat starts", places, "name another in Moat's settings: programs")


def _searched(search_path: str, workspace: Area) -> Iterator[Ground]:
    """Yield the folders in which the user's shell looks for every command.

    Those of the project are left out, such as its `.venv/bin`: they are on PATH so that its own
    programs are at hand.
    """
    name = "where your shell finds programs (PATH)"
    remedy = "take it out of PATH, or mount it read-only (:ro)"
    for folder in dict.fromkeys(search_path.split(":")):
        place = steps(folder)[-1].path if folder.startswith("/") else workspace.path
        if not is_in(place, workspace.path):
            yield Ground(name, (place,), remedy, frozenset())

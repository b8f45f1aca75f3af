"""Volumes: folders that last, which runs of one project mount. Pure.

A project's file asks for them as the original Moat has it; the command line has `NAME:PATH[:ro|rw]`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moat.config.fields import Field
from moat.errors import UsageError
from moat.spec import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_TAKEN: Final = "project"
"""The store has a file of this name beside the volumes of a project."""
_MODES: Final = ("ro", "rw")


def check_name(name: str) -> None:
    """Check the name of a volume. Raises `UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a volume",
            "Use lower-case letters, digits, '.', '_' and '-', 63 at most",
        )
    if name == _TAKEN:
        raise UsageError(f"a volume can't be called {name}: Moat uses the name", "Choose another")


def check_target(target: str) -> None:
    """Check the absolute path of a volume in its sandbox. Raises `UsageError`."""
    first, *parts = target.split("/")
    if first or not parts or any(part in {"", ".", ".."} for part in parts):
        raise UsageError(f"volume target {target!r} is not a plain absolute path", "Such as /data")


def _check(volume: Mapping[str, Any]) -> None:
    for name in ("name", "target"):
        if name not in volume:
            raise ValueError(f"{name} is missing")


FIELD: Final = Field(
    "objects",
    "Folders that last from run to run, for the runs of this project alone.",
    each=_check,
    fields={
        "name": Field("string", "The volume's name (see moat volume).", check_name),
        "target": Field("string", "Its absolute path in the sandbox.", check_target),
        "readonly": Field("boolean", "The runs can't change it."),
    },
)


def nowhere(workspace: str, name: str) -> str:
    """Return no folder, where no run is started."""
    del workspace, name
    return ""


def parse(text: str) -> tuple[str, str, bool]:
    """Return the name, the target and whether it is read-only of `NAME:PATH[:ro|rw]`.

    Raises `UsageError`.
    """
    name, *rest = text.split(":")
    mode = rest.pop() if len(rest) == 2 else "rw"
    if len(rest) != 1 or mode not in _MODES:
        raise UsageError(f"{text!r} is not a volume", "Write NAME:PATH, or NAME:PATH:ro")
    check_name(name)
    check_target(rest[0])
    return name, rest[0], mode == "ro"


def joined(
    listed: Iterable[Mapping[str, Any]], given: Iterable[str], place: Callable[[str], str]
) -> tuple[Volume, ...]:
    """Return the volumes of a run: those `listed` in its project's file, and those of the command line.

    One of the command line takes the place of another at the same target. `place` returns the folder of
    a volume. Raises `UsageError` for two at one target.
    """
    asked = [(each["name"], each["target"], each.get("readonly", False)) for each in listed]
    found: dict[str, Volume] = {}
    for part in (asked, [parse(each) for each in given]):
        targets = [target for _, target, _ in part]
        for name, target, read_only in part:
            if targets.count(target) > 1:
                raise UsageError(f"two volumes have the target {target}", "Give each its own")
            found[target] = Volume(name, target, place(name), "ro" if read_only else "rw")
    return tuple(found.values())

"""The host's programs that Moat starts, found without asking PATH.

PATH often begins with a folder of the project: that of an activated virtual environment, or of
`node_modules/.bin`. A run can write there, and what it wrote would be started as the host's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.ground.way import flaw, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES: Final = (
    *("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/local/sbin"),
    *("/run/wrappers/bin", "/run/current-system/sw/bin"),  # NixOS
    "/nix/var/nix/profiles/default/bin",  # Nix on other systems
    "/run/current-system/profile/bin",  # Guix
    "/home/linuxbrew/.linuxbrew/bin",  # Homebrew
)
"""The folders in which programs are looked for, in this order."""

NAMES: Final = ("bwrap", "git", "aws", "op", "vault")
"""The programs that Moat starts, other than its own Python and those that `secrets:` names."""


@dataclass(frozen=True, slots=True)
class Search:
    """The outcome of a search for a program, with what was passed over before."""

    path: str | None
    """The program's real path; `None` if there is none that can be trusted."""
    passed_over: tuple[str, ...] = ()
    """The files of that name that can't be trusted, each with the reason."""


def search(name: str, chosen: str = "") -> Search:
    """Look for a program: at the path that the user has `chosen`, or else in the usual places."""
    passed_over: list[str] = []
    for path in (chosen,) if chosen else (f"{place}/{name}" for place in PLACES):
        if not os.path.exists(path):  # noqa: PTH110  a dozen places at every start
            continue
        way = steps(path)
        reason = flaw(way) or _unusable(way[-1].path)
        if reason is None:
            return Search(way[-1].path, tuple(passed_over))
        passed_over.append(f"{path}: {reason}")
    return Search(None, tuple(passed_over))


def _unusable(path: str) -> str | None:
    if not os.path.isfile(path):  # noqa: PTH113  as above
        return "not a file"
    return None if os.access(path, os.X_OK) else "not a program that we may start"


def ignored_on_path(name: str, search_path: str) -> Iterator[str]:
    """Yield the programs of that name that PATH leads to and Moat doesn't look at, for `moat doctor`."""
    known = {os.path.realpath(place) for place in PLACES}
    for folder in dict.fromkeys(search_path.split(":")):
        path = os.path.join(folder or ".", name)  # noqa: PTH118  keeps a relative folder as it is
        if os.path.realpath(folder or ".") not in known and os.access(path, os.X_OK):
            yield path

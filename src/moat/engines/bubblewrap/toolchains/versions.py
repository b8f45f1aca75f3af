"""The versions of tools that the user has chosen for everything, as variables of asdf and mise.

Both keep them in the home folder, which a sandbox doesn't show, and mise's file may hold secrets
beside them. Each takes a variable for a tool instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_ASDF: Final = "ASDF_DATA_DIR"
_MISE: Final = "MISE_DATA_DIR"
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""A name or a version that needs no quoting, whatever reads it."""


def chosen_versions(home: Path, managers: Collection[str]) -> dict[str, str]:
    """Return the variables, for those of the two that `managers` has the variable of."""
    variables: dict[str, str] = {}
    if _ASDF in managers:
        variables |= _variables("ASDF", dict(_tool_versions(home)))
    if _MISE in managers:
        variables |= _variables("MISE", {**dict(_tool_versions(home)), **dict(_mise_tools(home))})
    return variables


def _variables(manager: str, versions: dict[str, str]) -> dict[str, str]:
    return {
        f"{manager}_{re.sub('[.-]', '_', tool).upper()}_VERSION": version
        for tool, version in versions.items()
        if _PLAIN.fullmatch(tool) and _PLAIN.fullmatch(version)
    }


def _tool_versions(home: Path) -> Iterator[tuple[str, str]]:
    """Yield a tool and the first version that ~/.tool-versions names for it."""
    try:
        lines = (home / ".tool-versions").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) > 1:
            yield words[0], words[1]


def _mise_tools(home: Path) -> Iterator[tuple[str, str]]:
    """Yield the same of mise's own file, and nothing else of it."""
    try:
        text = (home / ".config" / "mise" / "config.toml").read_text()
    except OSError:
        return
    import tomllib  # noqa: PLC0415  loads slowly

    try:
        content = tomllib.loads(text)
    except ValueError:
        return  # mise itself says what is wrong with it
    tools = content.get("tools")
    if isinstance(tools, dict):
        for tool, wanted in cast("dict[str, object]", tools).items():
            version = _first_version(wanted)
            if version is not None:
                yield tool, version


def _first_version(wanted: object) -> str | None:
    """Return the version in what mise takes: a string, a list of them, or a table with `version`."""
    if isinstance(wanted, list):
        return _first_version(cast("list[object]", wanted)[0]) if wanted else None
    if isinstance(wanted, dict):
        return _first_version(cast("dict[str, object]", wanted).get("version"))
    return wanted if isinstance(wanted, str) else None

"""`agent.yaml` (or `moat.yaml`): how a project wants to be run.

The agent in the sandbox can write the workspace, and so this file where there was none. What it says
may therefore give a run less than the command line can: it can't mount what lies outside the
workspace. What its `network` may do, and what not: `config.network`.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moat.config import network_fields
from moat.config.fields import Field, positive
from moat.config.mounts import split_mount
from moat.config.names import check_name
from moat.errors import UsageError
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES: Final = ("agent.yaml", "moat.yaml")


def _inside(paths: list[str]) -> None:
    for path in paths:
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path!r} is not a path below the workspace")


def _mounts(mounts: list[str]) -> None:
    for text in mounts:
        source = split_mount(text).source
        if source.startswith(("/", "~")) or ".." in source.split("/"):
            raise outside(text)


def outside(mount: str) -> UsageError:
    return UsageError(
        f"{mount!r} is not in the workspace",
        f"A run may have written that. If it was you: moat run -m {shlex.quote(mount)}",
    )


def _command(given: str | list[str]) -> None:
    if not words(given):
        raise ValueError("names no program")


def words(command: str | list[str]) -> tuple[str, ...]:
    """A command as it is run: a string is split as a shell would. Raises `ValueError`."""
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def _env(variables: dict[str, str]) -> None:
    for name in variables:
        if not name or "=" in name:
            raise ValueError(f"{name!r} is not the name of a variable")


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field("string", "Name of the runs; a number is added while it is taken.", check_name),
    "command": Field("command", "What to run where the command line says nothing.", _command),
    "interactive": Field("boolean", "Connect standard input, as -i does."),
    "env": Field("map", "Variables of the command.", _env),
    "mounts": Field(
        "strings", "Folders of the workspace shown elsewhere, too: SRC:DST[:ro|rw].", _mounts
    ),
    "exclude": Field(
        "strings", "Paths below the workspace that the sandbox must not see.", _inside
    ),
    "limits": Field(
        "object",
        "Upper bounds for everything in the sandbox together.",
        fields={
            "memory": Field(
                "quantity", "Bytes, or like 512m or 2g.", lambda v: parse_memory(str(v))
            ),
            "cpus": Field("number", "CPU seconds per second.", positive),
            "pids": Field("integer", "Processes and threads.", positive),
            "timeout": Field(
                "quantity", "Stop the run after so long: 30m, 2h.", lambda v: parse_duration(str(v))
            ),
        },
    ),
    "network": Field("object", "What the runs may reach, and how.", fields=network_fields.FIELDS),
}


def find(workspace: Path) -> Path | None:
    """The project's file. Raises `UsageError` for two of them, and for one that is a link."""
    found = [workspace / name for name in NAMES if os.path.lexists(workspace / name)]
    if len(found) > 1:
        raise UsageError(f"both {found[0]} and {found[1]} exist", "Keep one of them")
    if found and found[0].is_symlink():
        raise UsageError(f"{found[0]} is a symbolic link", "Put the file itself there")
    return found[0] if found else None


def load(path: Path, *, narrowing: bool = False) -> dict[str, Any]:
    """The checked content, with its paths absolute. Raises `UsageError` with file and line.

    With `narrowing` its `network` may deny, but open nothing.
    """
    from moat.config.document import read  # noqa: PLC0415  YAML only where there is some

    here = network_fields.of_project(path.parent, narrowing=narrowing)
    file = read(path, {**FIELDS, "network": replace(FIELDS["network"], fields=here)})
    network: dict[str, Any] = file.get("network", {})
    if "upstream_ca" in network:
        network["upstream_ca"] = str(path.parent / network["upstream_ca"])
    return file

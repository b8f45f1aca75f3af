"""`agent.yaml` (or `moat.yaml`): how a project is to be run.

The agent in the sandbox can write the workspace, and therefore this file where there was none. So the
file may give a run less than the command line can: no mounts from outside the workspace. What it may
and may not say under `network` is explained in `config.network`.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moat.config import network_fields, protected_paths
from moat.config.fields import Field, positive
from moat.config.mounts import split_mount
from moat.config.names import check_name
from moat.errors import UsageError
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES: Final = ("agent.yaml", "moat.yaml")


def _check_paths(paths: list[str]) -> None:
    for path in paths:
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path!r} is not a path below the workspace")


def _check_mounts(mounts: list[str]) -> None:
    for text in mounts:
        source = split_mount(text).source
        if source.startswith(("/", "~")) or ".." in source.split("/"):
            raise outside_workspace(text)


def outside_workspace(mount: str) -> UsageError:
    """Return the error for a mount whose source the file may not name."""
    return UsageError(
        f"{mount!r} is not in the workspace",
        f"A run may have written that. If it was you: moat run -m {shlex.quote(mount)}",
    )


def _check_command(command: str | list[str]) -> None:
    if not split_command(command):
        raise ValueError("names no program")


def split_command(command: str | list[str]) -> tuple[str, ...]:
    """Return the words of a command; a string is split as a shell would do it. Raises `ValueError`."""
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def _check_env(variables: dict[str, str]) -> None:
    for name in variables:
        if not name or "=" in name:
            raise ValueError(f"{name!r} is not the name of a variable")


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field(
        "string", "Name of the runs. A number is added while the name is taken.", check_name
    ),
    "command": Field("command", "Command to run where the command line has none.", _check_command),
    "interactive": Field("boolean", "Connect standard input, like -i."),
    "env": Field("map", "Environment variables of the command.", _check_env),
    "mounts": Field(
        "strings",
        "Folders of the workspace to show at a second place: SRC:DST[:ro|rw].",
        _check_mounts,
    ),
    "exclude": Field(
        "strings", "Paths below the workspace that are hidden from the sandbox.", _check_paths
    ),
    "protected_paths": protected_paths.FIELD,
    "limits": Field(
        "object",
        "Upper bounds for all processes of the sandbox together.",
        fields={
            "memory": Field(
                "quantity",
                "Memory, in bytes or like 512m or 2g.",
                lambda v: parse_memory(str(v)),
            ),
            "cpus": Field("number", "CPU seconds per second.", positive),
            "pids": Field("integer", "Processes and threads.", positive),
            "timeout": Field(
                "quantity",
                "Time after which the run is stopped: 30m, 2h.",
                lambda v: parse_duration(str(v)),
            ),
        },
    ),
    "network": Field("object", "What the runs may reach, and how.", fields=network_fields.FIELDS),
}


def find(workspace: Path) -> Path | None:
    """Return the project's file. Raises `UsageError` for two of them, and for a symbolic link."""
    found = [workspace / name for name in NAMES if os.path.lexists(workspace / name)]
    if len(found) > 1:
        raise UsageError(f"both {found[0]} and {found[1]} exist", "Keep one of them")
    if found and found[0].is_symlink():
        raise UsageError(f"{found[0]} is a symbolic link", "Put the file itself there")
    return found[0] if found else None


def load(path: Path, *, narrowing: bool = False) -> dict[str, Any]:
    """Return the checked content, with absolute paths. Raises `UsageError` with file and line.

    `narrowing`: the section `network` may deny, but open nothing.
    """
    from moat.config.document import read  # noqa: PLC0415  loads YAML only where there is a file

    here = network_fields.project_fields(path.parent, narrowing=narrowing)
    file = read(path, {**FIELDS, "network": replace(FIELDS["network"], fields=here)})
    network: dict[str, Any] = file.get("network", {})
    if "upstream_ca" in network:
        network["upstream_ca"] = str(path.parent / network["upstream_ca"])
    return file

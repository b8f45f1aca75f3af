"""`agent.yaml` (or `moat.yaml`): how a project is to be run.

The agent in the sandbox can write the workspace, and therefore this file where there was none. So the
file may give a run less than the command line can: no mounts from outside the workspace. What it opens
holds only with the user's consent (`config.consent`); the table says of each field whether it opens
anything. How `network` is joined with the user's own is explained in `config.network`.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat.config import (
    environment,
    limits,
    mcp,
    network_fields,
    ports,
    protected_paths,
    secret_references,
    services,
    volumes,
    workspace_mode,
)
from moat.config.certificates import CertificateFile, fingerprint
from moat.config.engine_choice import check_image
from moat.config.fields import Effect, Field
from moat.config.mounts import split_mount
from moat.config.names import check_name
from moat.config.original_fields import INSTEAD
from moat.errors import UsageError
from moat.spec import dependency

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moat.config.openings import Lines

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


def _effect_of_input(connected: bool) -> Effect:
    # What the user types, or what a script pipes to Moat, would go to the command.
    return Effect.OPENS if connected else Effect.NEUTRAL


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field(
        "string",
        "Name of the runs. A number is added while the name is taken.",
        check_name,
        effect=Effect.NEUTRAL,
    ),
    "command": Field("command", "Command to run where the command line has none.", _check_command),
    "base_image": Field(
        "string",
        "Image that the runs' containers are made from; has them run on docker, or the --engine.",
        check_image,
    ),
    "dependencies": Field(
        "strings",
        "What the image is to have besides: NAME[@VERSION] (see `moat deps`), or KIND:NAME[@VERSION]"
        f" with a package of {', '.join(dependency.KINDS)}; has them run on docker, too.",
        each=dependency.check,
    ),
    "interactive": Field("boolean", "Connect standard input, like -i.", effect=_effect_of_input),
    "env": environment.FIELD,
    "grants": Field(
        "strings",
        "Credentials that the runs may use and never hold: PROVIDER[:SCOPE][@PROFILE].",
    ),
    "secrets": secret_references.FIELD,
    "mounts": Field(
        "strings",
        "Folders of the workspace to show at a second place: SRC:DST[:ro|rw].",
        _check_mounts,
    ),
    "volumes": volumes.FIELD,
    "services": services.FIELD,
    "exclude": Field(
        "strings",
        "Paths below the workspace that are hidden from the sandbox.",
        _check_paths,
        effect=Effect.NARROWS,
    ),
    "workspace": workspace_mode.FIELD,
    "protected_paths": protected_paths.FIELD,
    "limits": limits.FIELD,
    "ports": ports.FIELD,
    "network": Field("object", "What the runs may reach, and how.", fields=network_fields.FIELDS),
    "mcp": mcp.FIELD,
}


class Project(NamedTuple):
    """A project's folder, and its file as it was when it was read, once: it may change at any moment.

    So what the user agrees to is what the run gets.
    """

    folder: Path
    """The real path."""
    file: Path | None
    """`None` where the folder has none."""
    content: Mapping[str, Any]
    """The checked content, in which `network.upstream_ca` is a `CertificateFile`."""

    @property
    def openings(self) -> Lines:
        """The lines of what the file opens; see `config.openings`."""
        if self.file is None:
            return ()
        from moat.config.openings import lines_of  # noqa: PLC0415  most folders have no file

        return lines_of(FIELDS, {**self.content, "network": _with_fingerprints(self.network)})

    @property
    def network(self) -> Mapping[str, Any]:
        return self.content.get("network", {})

    def without_command(self) -> Project:
        """Return the project for a run whose command line has a command, so that its own isn't run."""
        others = {name: each for name, each in self.content.items() if name != "command"}
        return self._replace(content=others)


def _with_fingerprints(network: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section with the certificates themselves in place of the name of their file."""
    authorities: CertificateFile | None = network.get("upstream_ca")
    if authorities is None:
        return network
    shown = [f"certificate {fingerprint(each)}" for each in authorities.certificates]
    return {**network, "upstream_ca": shown}


def find(workspace: Path) -> Path | None:
    """Return the project's file. Raises `UsageError` for two of them, and for a symbolic link."""
    found = [workspace / name for name in NAMES if os.path.lexists(workspace / name)]
    if len(found) > 1:
        raise UsageError(f"both {found[0]} and {found[1]} exist", "Keep one of them")
    if found and found[0].is_symlink():
        raise UsageError(f"{found[0]} is a symbolic link", "Put the file itself there")
    return found[0] if found else None


def project_in(folder: Path) -> Project:
    """Read the file of a folder, if it has one. Raises `UsageError` with file and line."""
    real = folder.resolve()
    path = find(real)
    return Project(real, None, {}) if path is None else load(path)


def load(path: Path) -> Project:
    """Read a project's file, whatever its name. Raises `UsageError` with file and line."""
    from moat.config.document import read  # noqa: PLC0415  loads YAML only where there is a file

    @cache  # what has been checked is what is used
    def authorities(text: str) -> CertificateFile:
        return CertificateFile.read(path.parent / text)

    fields = network_fields.project_fields(authorities)
    known = {**FIELDS, "network": replace(FIELDS["network"], fields=fields)}
    content = read(path, known, INSTEAD)
    network: dict[str, Any] = content.get("network", {})
    if "upstream_ca" in network:
        network["upstream_ca"] = authorities(network["upstream_ca"])
    return Project(path.parent.resolve(), path, content)

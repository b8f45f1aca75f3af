"""The specification of one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NewType

from moat.spec.network import Network

RunId = NewType("RunId", str)

MountMode = Literal["ro", "rw"]


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path shown in the sandbox."""

    source: str
    target: str
    mode: MountMode = "rw"


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for everything in the sandbox together; `None` is no bound of Moat's."""

    memory: int | None = None
    """Bytes."""
    cpus: float | None = None
    """CPU seconds per second."""
    pids: int | None = None
    """Processes and threads."""


@dataclass(frozen=True, slots=True)
class TerminalSize:
    columns: int = 80
    rows: int = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """All that a supervisor needs to start a run, or to take it over."""

    id: RunId
    name: str
    command: tuple[str, ...]
    workspace: str
    """Absolute path on the host; it is /workspace in the sandbox."""
    workdir: str = "/workspace"
    """Absolute path in the sandbox."""
    created_at: str
    """RFC 3339, UTC."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the user asked for, on top of the engine's own minimum."""
    host_path: str = ""
    """The user's PATH, where the toolchains that the sandbox is to see are looked for."""
    mounts: tuple[Mount, ...] = ()
    exclude: tuple[str, ...] = ()
    """Paths below the workspace that the sandbox must not see; relative, no globs."""
    writable_git: bool = False
    """Whether `.git/config`, `.git/hooks` and `agent.yaml` may be written from inside."""
    trusted_files: tuple[str, ...] = ()
    """Files below the workspace that its configuration names: the next run would trust them."""
    interactive: bool = False
    tty: bool = False
    size: TerminalSize = TerminalSize()
    limits: Limits = Limits()
    network: Network = field(default_factory=Network)
    engine: str = "bubblewrap"
    keep: bool = False
    timeout: float | None = None
    """Seconds after which the run is stopped."""
    stop_timeout: float = 10.0
    """Seconds between the stop signal and SIGKILL where the stop request names none."""
    scrollback: int = 2000
    """Lines."""
    journal_limit: int = 256 * 1024 * 1024
    """Bytes of output kept; the oldest segment goes first."""

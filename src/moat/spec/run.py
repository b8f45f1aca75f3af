"""The specification of one run.

Every field that is added needs a default, which is what the runs live by that began before; see `codec`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NewType

from moat.spec.agent import AgentSetup
from moat.spec.budget import Budget
from moat.spec.grants import Grant
from moat.spec.hooks import EventHook, Notify
from moat.spec.network import Network
from moat.spec.port import PublishedPort
from moat.spec.protected_path import ProtectedPath
from moat.spec.service import Service
from moat.spec.snapshots import Snapshots

RunId = NewType("RunId", str)

MountMode = Literal["ro", "rw"]

MOST_CELLS: Final = 2000
"""The most columns, and the most rows, of a program's terminal."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path that the sandbox sees."""

    source: str
    """Absolute path on the host."""
    target: str
    """Absolute path in the sandbox."""
    mode: MountMode = "rw"


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of the store that lasts from run to run, for the runs of one project."""

    name: str
    target: str
    """Absolute path in the sandbox."""
    folder: str
    """Absolute path on the host."""
    mode: MountMode = "rw"


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for all processes of the sandbox together; `None` where Moat sets none."""

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

    def bounded(self) -> "TerminalSize":
        """Return the size that a program may have: no screen is emulated at any price in memory."""
        return TerminalSize(
            min(max(1, self.columns), MOST_CELLS), min(max(1, self.rows), MOST_CELLS)
        )


class PixelSize(NamedTuple):
    """A terminal's size in pixels; zeros where it doesn't know."""

    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubblewrap:
    """The section of the engine of that name."""

    host_path: str = ""
    """The user's PATH, where the engine looks for the toolchains that the sandbox sees."""
    program: str = ""
    """The path of `bwrap` that the user has chosen; empty where it is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The section of the engines docker and podman."""

    image: str = ""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """The user's variables that say where the engine listens (`engines.container.endpoints`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Everything that a supervisor needs to start a run, or to take it over."""

    id: RunId
    name: str
    command: tuple[str, ...]
    workspace: str
    """Absolute path on the host; in the sandbox it is /workspace."""
    copy: str = ""
    """Absolute path of a copy of the workspace that the run works on instead; empty: it has none."""
    workdir: str = "/workspace"
    """Absolute path in the sandbox."""
    created_at: str
    """RFC 3339, UTC."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that the user asked for, in addition to those that the engine sets itself."""
    secrets: tuple[str, ...] = ()
    """Variables whose values are in the vault for as long as the run lives, and in no file of it."""
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Volume, ...] = ()
    exclude: tuple[str, ...] = ()
    """Paths below the workspace that are hidden from the sandbox; relative, without wildcards."""
    writable_git: bool = False
    """No path of the workspace and of mounts is protected (`moat.workspace.path_rules`)."""
    trusted_files: tuple[str, ...] = ()
    """Files below the workspace that its configuration names, so that the next run would trust them."""
    protected_paths: tuple[ProtectedPath, ...] = ()
    """Paths that the user protects besides those that Moat knows."""
    interactive: bool = False
    """Standard input is connected."""
    tty: bool = False
    size: TerminalSize = TerminalSize()
    """The size of the terminal when the command begins."""
    limits: Limits = Limits()
    budget: Budget = field(default_factory=Budget)
    network: Network = field(default_factory=Network)
    ports: tuple[PublishedPort, ...] = ()
    """The ways in."""
    services: tuple[Service, ...] = ()
    """Containers beside the command's, in the run's network."""
    grants: tuple[Grant, ...] = ()
    """Credentials that the run may use."""
    agent: AgentSetup | None = None
    """Additions for a command that is an agent known to Moat."""
    engine: str = "bubblewrap"
    bubblewrap: Bubblewrap = Bubblewrap()
    """Facts for the engine bubblewrap alone."""
    container: Container = Container()
    """Facts for the engines docker and podman."""
    keep: bool = False
    """The sandbox's home and /tmp are kept after the end."""
    remove_at_end: bool = False
    """Nothing of the run is kept once it has ended, unless something was quarantined."""
    timeout: float | None = None
    """Seconds after which the run is stopped."""
    stop_timeout: float = 10.0
    """Seconds between the stop signal and SIGKILL, unless the request to stop names another number."""
    scrollback: int = 2000
    """Lines."""
    scrollback_memory: int = 64 * 1024 * 1024
    """Bytes that the scrollback takes at most, however many colours it has."""
    journal_limit: int = 256 * 1024 * 1024
    """Bytes of output and checkpoints that are kept; the oldest segment is deleted first."""
    notifications: bool = True
    """The program's notifications (OSC 9, 99 and 777) reach the terminals of viewers."""
    pictures: bool = True
    """The program's pictures (sixel, kitty's and iTerm2's) are passed on, too."""
    clipboard: Literal["ask", "pass", "drop"] = "ask"
    """The rule for writes to the clipboard (OSC 52) of the terminal that leads."""
    term_program: str = ""
    """The terminal that programs are told they have; empty: they are told nothing but Moat's version."""
    on_event: tuple[EventHook, ...] = ()
    """Commands of the user's that are started on the host when something happens to the run."""
    notify: Notify = "off"
    """The way to tell the user that the run wants them while nobody is attached."""
    snapshots: Snapshots = field(default_factory=Snapshots)
    """The snapshots of the workspace that are taken without being asked for, and how many are kept."""

    @property
    def work_folder(self) -> str:
        """The folder of the host that the run sees as /workspace."""
        return self.copy or self.workspace

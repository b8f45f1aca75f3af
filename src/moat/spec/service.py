"""A service of a run: a container beside the command's, in the same network. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

ReadyProtocol = Literal["tcp", "http", "redis", "postgres", "mysql", "amqp", "mongodb"]

ADDRESS: Final = "127.0.0.1"
"""The address at which a run's commands reach its services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The sign by which a service is known to be ready: it answers in its own protocol."""

    protocol: ReadyProtocol = "tcp"
    port: int = 0
    """0: the service's first port."""
    path: str = "/"
    """Path of the request, for `http` alone."""
    address: str = ADDRESS
    timeout: float = 60.0
    """Seconds within which it has to be ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceVolume:
    """A folder of the store in which a service keeps its data, for the runs of one project."""

    name: str
    target: str
    """Absolute path in the service's container."""
    folder: str
    """Absolute path on the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service, complete but for its password.

    Values of `env`, `files` and `variables` may name {password}, which is made when the run starts;
    `variables` also {host}, {port} and the names of `env`.
    """

    name: str
    """Name of the service, by which commands of the run can reach it, too."""
    image: str
    kind: str = ""
    """The entry of the registry that it is made from; empty for an image of the user's."""
    ports: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the service itself."""
    command: tuple[str, ...] = ()
    """Arguments of the image's entrypoint; empty: those of the image."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Read-only files of its container, by absolute path."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the run's commands, without their common beginning, MOAT_NAME_."""
    volume: ServiceVolume | None = None
    ready: Readiness = Readiness()
    memory: int | None = None
    """Bytes; `None`: as much as the run's own container."""

    @property
    def variables_prefix(self) -> str:
        """The common beginning of the variables by which the run's commands know it."""
        return f"MOAT_{self.name.upper().replace('-', '_')}_"

    @property
    def ready_port(self) -> int:
        """The port at which it is asked whether it is ready."""
        return self.ready.port or self.ports[0]

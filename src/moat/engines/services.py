"""The interface between a supervisor and whatever makes the services of its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moat.spec import Service


class ServiceEndedError(EngineError):
    """A service has ended as soon as it was started; `summary` goes on after its name."""

    code = "service_ended"


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The container of a service, as its engine describes it."""

    pid: int | None
    """Process id of its first process on this machine; `None` where it doesn't run."""
    exit_code: int | None
    out_of_memory: bool


def how_it_ended(state: ServiceState | None) -> str:
    """Return what is known of a service's end, to be read after its name."""
    if state is None or state.exit_code is None:
        return "has ended"
    if state.out_of_memory:
        return "was killed, because its memory was used up"
    return f"has ended with exit code {state.exit_code}"


class Services(Protocol):
    """The services of one run. Each call waits for the engine, and raises `EngineError`."""

    def prepare(self, services: Iterable[Service]) -> None:
        """Check that all that they need is there, and remove what a killed supervisor has begun."""
        ...

    def start(
        self,
        service: Service,
        env: Mapping[str, str],
        files: Mapping[str, str],
        authority: bytes,
    ) -> int:
        """Start a service in the network of the run's sandbox; return a pidfd of its first process.

        Raises `ServiceEndedError`, too.

        `authority` is the certificate, in PEM, that its programs are to trust.
        """
        ...

    def find(self, name: str) -> int | None:
        """Return a pidfd of the service's first process; `None` where it doesn't run."""
        ...

    def ended(self, name: str) -> ServiceState | None:
        """Ask about a service whose first process has ended; `None` where there is none any more."""
        ...

    def log(self, name: str, lines: int | None = None) -> bytes:
        """Return the last lines that a service has written; of one that is gone, what was kept."""
        ...

"""The table of the ports that can be reached by name. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.ports import hostnames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.ports.hostnames import Name

_SHOWN: Final = 8
"""Names of runs that an answer lists."""


class Port(NamedTuple):
    """A published port of a run that lives."""

    name: str
    number: int
    """The port at which the server listens in the sandbox."""
    address: str
    """The host's address, and port."""
    host_port: int


class RunEntry(NamedTuple):
    """A run that has not ended."""

    id: str
    name: str
    ports: tuple[Port, ...]
    starting: bool = False
    """The ports of the run aren't open yet."""


class Route(NamedTuple):
    """The port that a host name means."""

    run: RunEntry
    port: Port


class Problem(NamedTuple):
    """The reason why a name leads nowhere, in one line each."""

    status: int
    reason: str
    hint: str = ""


class Table:
    """The runs that live, by the names that they have in URLs."""

    def __init__(self, runs: Iterable[RunEntry]) -> None:
        self.runs = tuple(runs)
        self._known: dict[str, list[RunEntry]] = defaultdict(list)
        for run in self.runs:
            self._known[hostnames.label(run.name)].append(run)
        for run in self.runs:
            self._known.setdefault(run.id, [run])

    def find(self, name: Name) -> Route | Problem | None:
        """Return the route of a name; `None` if no run that lives is called so."""
        runs = self._known.get(name.run, [])
        if len(runs) > 1:
            return _ambiguous(name, runs)
        return _port_of(runs[0], name.port) if runs else None


def _ambiguous(name: Name, runs: list[RunEntry]) -> Problem:
    names = ", ".join(run.name for run in runs[:_SHOWN])
    prefix = f"{name.port}." if name.port else ""
    ids = " or ".join(f"{prefix}{run.id}.{hostnames.DOMAIN}" for run in runs[:_SHOWN])
    return Problem(404, f"{name.run} could be any of these runs: {names}", f"Write {ids}")


def _port_of(run: RunEntry, wanted: str) -> Route | Problem:
    fitting = [port for port in run.ports if wanted in {"", port.name, str(port.number)}]
    if len(fitting) == 1:
        return Route(run, fitting[0])
    hosts = ", ".join(
        f"{port.name}.{hostnames.label(run.name)}.{hostnames.DOMAIN}" for port in run.ports
    )
    if fitting:
        return Problem(404, f"run {run.name} publishes several ports", f"Name one of them: {hosts}")
    if run.ports:
        return Problem(404, f"run {run.name} publishes no port {wanted}", f"It publishes {hosts}")
    if run.starting:
        return Problem(503, f"run {run.name} is starting", "Load the page again in a moment")
    return Problem(
        404,
        f"run {run.name} publishes no port",
        f"A run does from its start: moat run -p {wanted or 'web'}=3000 -- COMMAND",
    )

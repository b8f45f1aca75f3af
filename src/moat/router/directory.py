"""The runs that live, as the store has them now, and the port that a host name means."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final, Self

from moat.errors import RunNotFoundError, StoreError
from moat.platform.inotify import FolderWatch
from moat.ports import hostnames
from moat.router.table import Port, Problem, RunEntry, Table
from moat.runs.states import State
from moat.runs.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from moat.egress.http.interfaces import Destination
    from moat.router.table import Route
    from moat.runs.store import Run

_UNKNOWN_HINT: Final = "See the runs that live: moat list"
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared


class Directory:
    """The table of routes, read again once the store has changed. A context manager."""

    def __init__(self, home: Path) -> None:
        """Raises `StoreError` and `OSError`."""
        self._changes = FolderWatch(home)
        self._store = Store(home)
        self._table = Table(())
        self._stale = True
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.__exit__()
        self._changes.__exit__()

    @property
    def table(self) -> Table:
        """The table as it is now. Raises `StoreError`."""
        changed = select.poll()  # select(2) ends at descriptor 1023
        changed.register(self._changes, select.POLLIN)
        if changed.poll(0):
            self._changes.drain()
            self._stale = True
        if self._stale:
            self._read()
        return self._table

    def _read(self) -> None:
        self._table = Table(map(_entry, self._store.all(ended=False)))
        self._stale = False

    def find(self, destination: Destination) -> Table | Route | Problem:
        """Return the route of a request or the reason why there is none; the table for the index."""
        if not hostnames.is_local(destination.host):
            return Problem(
                421,
                f"{destination.host} is not served here",
                f"Names end in .{hostnames.DOMAIN}: web.my-run.{hostnames.DOMAIN}",
            )
        name = hostnames.parse(destination.host)
        if name is None:
            return Problem(404, f"{destination.host} is no port of a run", _UNKNOWN_HINT)
        try:
            if not name.run:
                return self.table
            return self.table.find(name) or self._ended(name.run)
        except StoreError as exc:
            return Problem(503, exc.summary, exc.hint or "")

    def _ended(self, label: str) -> Problem:
        try:
            run = self._store.find(label)
        except RunNotFoundError:
            run = None
        if run is None or label not in {run.name, run.id}:
            return Problem(404, f"there is no run {label}", _UNKNOWN_HINT)
        return Problem(
            503, f"run {run.name} is {run.state}: its ports are closed", "Start it again: moat run"
        )


def _entry(run: Run) -> RunEntry:
    ports = tuple(
        Port(each["name"], each["port"], _reachable(each["address"]), each["host_port"])
        for each in run.ports
    )
    return RunEntry(run.id, run.name, ports, run.state in {State.CREATED, State.STARTING})


def _reachable(address: str) -> str:
    """Return the address at which this machine reaches a listener on an address."""
    return _LOOPBACK.get(address, address)

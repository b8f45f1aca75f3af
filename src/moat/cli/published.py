"""The published ports of a run, for the commands that tell of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from moat.cli.found import find, supervisor_of
from moat.errors import MoatError, RunNotActiveError, UsageError
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moat.config.settings import Settings

Published = dict[str, Any]
"""A port as the run's row has it: name, port, address, host_port, url."""


def ports_of(reference: str | None) -> tuple[str, list[Published]]:
    """Return the name of a run and its ports, which its supervisor serves now. Raises `MoatError`."""
    with Store() as store:
        found = find(store, reference)
        if found.ended:
            raise RunNotActiveError(
                f"run {found.name} is {found.state}: its ports are closed",
                "See the runs that live: moat list",
            )
        # Whoever asks wants to connect: a supervisor that is gone is replaced first.
        known = supervisor_of(store, found).get("/v1/run", until="started")
    return found.name, known["ports"]


def the_port(run: str, ports: Sequence[Published], wanted: str | None) -> Published:
    """Return the port of a name or number, or the only one where none is named. Raises `UsageError`."""
    fitting = [each for each in ports if wanted in {None, each["name"], str(each["port"])}]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(each["name"] for each in fitting or ports)
    if fitting:
        raise UsageError(f"run {run} publishes several ports: {names}", "Name one of them")
    if ports:
        raise UsageError(f"run {run} publishes no port {wanted}", f"It publishes: {names}")
    raise UsageError(
        f"run {run} publishes no port", "A run does from its start: moat run -p 3000 -- COMMAND"
    )


def place(port: Published) -> str:
    """Return the address and port of the host, as a URL has them."""
    address = f"[{port['address']}]" if ":" in port["address"] else port["address"]
    return f"{address}:{port['host_port']}"


def url_of(run: str, port: Published, router: int) -> str:
    """Return the URL of a run's port, by its host name if it has a name and `router` is a port."""
    if router and not port["name"].isdecimal():
        from moat.ports import hostnames  # noqa: PLC0415  `moat list` has no use for it

        return hostnames.url("http", run, port["name"], router)
    return port["url"]


def router_port(home: Path, settings: Settings) -> int:
    """Return the port of the router, which is started where none lives; zero if there is to be none.

    Where it can't be had, ports have no names, and a line says why.
    """
    if not settings.router.enabled:
        return 0
    from moat.client import router  # noqa: PLC0415  most runs have no named ports

    try:
        return router.ensure(home, settings.router.port)
    except MoatError as error:
        sys.stderr.write(f"moat: ports have no host names: {error.summary}\n      {error.hint}\n")
        return 0

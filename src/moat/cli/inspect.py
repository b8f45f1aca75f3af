"""`moat inspect`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from moat.cli.arguments import run_argument
from moat.cli.found import find, supervisor_of
from moat.cli.output import print_json
from moat.client.connect.patience import SupervisorStuckError
from moat.client.display.spending import read_spending
from moat.config.network import redacted
from moat.engines.engine import UnsupportedSandboxError
from moat.errors import RunNotActiveError
from moat.runs import session_records
from moat.runs.store import Run, Store
from moat.services.variables import as_json


@click.command("inspect")
@run_argument()
def command(run: str | None) -> None:
    """Print the details of a run as a JSON object, without the values of variables and passwords."""
    with Store() as store:
        found = find(store, run)
        known = found.as_json()
        if not found.ended:
            try:
                known = supervisor_of(store, found).get("/v1/run")
            except RunNotActiveError:
                known = store.get(found.id).as_json()
            except (UnsupportedSandboxError, SupervisorStuckError) as error:
                known |= {"error": error.summary}
        specified = store.spec(found.id)
        spec = asdict(specified)
        also = ("workdir", "mounts", "exclude", "limits", "timeout", "keep", "writable_git")
        also += ("protected_paths", "copy", "volumes")
        print_json(
            {"services": as_json(specified.services, ())}
            | known
            | {name: spec[name] for name in also}
            | {"network": redacted(specified.network)}
            | {"budget": read_spending(store.folder(found.id), specified.budget)}
            | {"sessions": _sessions(store, store.get(found.id), known.get("sessions", {}))}
            | {"env": sorted(spec["env"]), "folder": str(store.folder(found.id).root)}
        )


def _sessions(store: Store, run: Run, live: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the sessions by name: what is recorded of each, and what the supervisor knows of it."""
    recorded = session_records.sessions(store, run)
    return {each.name: each.as_json() | live.get(each.name, {}) for each in recorded}

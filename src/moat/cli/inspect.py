"""`moat inspect`."""

from __future__ import annotations

from dataclasses import asdict

import click

from moat.cli.arguments import find, run_argument, supervisor_of
from moat.cli.output import print_json
from moat.config.network import redacted
from moat.engines.engine import UnsupportedSandboxError
from moat.errors import RunNotActiveError
from moat.runs.store import Store


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
            except UnsupportedSandboxError as error:
                known |= {"error": error.summary}
        specified = store.spec(found.id)
        spec = asdict(specified)
        also = ("workdir", "mounts", "exclude", "limits", "timeout", "keep", "writable_git")
        also += ("protected_paths",)
        print_json(
            known
            | {name: spec[name] for name in also}
            | {"network": redacted(specified.network)}
            | {"env": sorted(spec["env"]), "folder": str(store.folder(found.id).root)}
        )

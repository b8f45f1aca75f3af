"""`moat import FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from moat.config.names import check_name
from moat.runs.store import Store


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-n", "--name", help="The name that the run is to have here (default: its own).")
def command(file: Path, *, name: str | None) -> None:
    """Put a run into this store that moat export has written, to look at it.

    FILE may come from anybody: all of it is checked before the run appears, and nothing on this machine
    obeys what it says. The run has ended and is marked as imported. list, logs, replay, screen, trace,
    events, diff, report and audit work on it. moat audit RUN --verify says whether its log is genuine,
    and that another machine's key has signed it.
    """
    from moat.archive.reading import import_run  # noqa: PLC0415  loads slowly

    if name is not None:
        check_name(name)
    with Store() as store:
        run = import_run(store, file, name)
    sys.stdout.write(f"{run.name}: imported as {run.id}\n")

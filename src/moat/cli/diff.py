"""`moat diff [RUN] --trust`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from moat.cli.arguments import find, run_argument
from moat.cli.trust_report import load_report, report_lines
from moat.runs.store import Store


@click.command("diff")
@run_argument()
@click.option("--trust", is_flag=True, required=True, help="What programs on the host may obey.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: str | None, *, trust: bool, as_json: bool) -> None:
    """Print what a run left in the workspace for programs on the host to obey.

    Each line has the path, what was done about it, the program that obeys it, and why that matters.
    docs/protected-paths.md lists the paths that are looked at.

    The keys of --json: findings (with root, path, treatment, done, program and reason) and more (the
    number of findings that were not kept). A treatment is quarantined, cleared, left or unchecked.
    """
    del trust
    with Store() as store:
        found = find(store, run)
        report = load_report(found, store.folder(found.id))
    if as_json:
        # ASCII, for a path needn't be valid Unicode.
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report_lines(report))

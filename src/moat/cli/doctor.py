"""`moat doctor`."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

import click

from moat.engines.registry import checks
from moat.runs.rebuild import rebuild_index


@click.command("doctor")
@click.option(
    "--rebuild-index", is_flag=True, help="Rebuild a damaged index of runs from their folders."
)
def command(*, rebuild_index: bool) -> int:
    """Check whether this machine has what sandboxes need, and say what to do about what is missing."""
    if rebuild_index:
        return _rebuild()
    bad = 0
    for check in checks():
        sys.stdout.write(f"{'ok ' if check.ok else 'NO '} {check.name}: {check.detail}\n")
        if not check.ok and check.remedy:
            sys.stdout.write(f"      {check.remedy}\n")
        bad += not check.ok
    sys.stdout.write(f"ok  proxy: {_proxy()}\n")
    return 1 if bad else 0


def _proxy() -> str:
    found = find_spec("moat.egress.http.exchange")
    if found is not None and str(found.origin).endswith(tuple(EXTENSION_SUFFIXES)):
        return "compiled"
    return "interpreted, which is slower (it is compiled if a C compiler is there at installation)"


def _rebuild() -> int:
    rebuilt, left_out = rebuild_index()
    sys.stdout.write(f"{rebuilt} runs are in the new index\n")
    for folder, why in left_out:
        sys.stdout.write(f"left out: {folder}: {why}\n")
    return 1 if left_out else 0

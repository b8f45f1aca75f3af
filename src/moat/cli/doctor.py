"""`moat doctor`."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from moat.config import settings
from moat.engines.engine import Check
from moat.engines.registry import checks
from moat.errors import UsageError
from moat.ground.own import installation
from moat.ground.way import flaw, steps
from moat.paths import moat_home
from moat.runs.rebuild import rebuild_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@click.command("doctor")
@click.option(
    "--rebuild-index", is_flag=True, help="Rebuild a damaged index of runs from their folders."
)
def command(*, rebuild_index: bool) -> int:
    """Check whether this machine has what sandboxes need, and say what to do about what is missing.

    It also says which of the host's programs Moat starts, and which it passes over because a run or
    another user could change them.
    """
    if rebuild_index:
        return _rebuild()
    bad = 0
    for check in _all_checks():
        sys.stdout.write(f"{'ok ' if check.ok else 'NO '} {check.name}: {check.detail}\n")
        if not check.ok and check.remedy:
            sys.stdout.write(f"      {check.remedy}\n")
        bad += not check.ok
    sys.stdout.write(f"ok  proxy: {_proxy()}\n")
    return 1 if bad else 0


def _all_checks() -> Iterator[Check]:
    found, programs = _settings()
    yield from checks(programs)
    yield found
    yield _installation()


def _settings() -> tuple[Check, Mapping[str, str]]:
    """Read the settings; return what to say of them, and the programs that they name."""
    home = moat_home()
    try:
        programs = settings.load(home).programs
    except UsageError as error:
        return Check("settings", False, error.summary, error.hint), {}
    file = home / settings.FILE
    return Check("settings", True, str(file) if file.exists() else "none"), programs


def _installation() -> Check:
    """Say where Moat comes from, and who else could change it. That never fails: it may be meant."""
    where = list(installation())
    flaws = dict.fromkeys(filter(None, (flaw(steps(path)) for path in where)))
    notes = "".join(f"\n      beware: {each}" for each in flaws)
    return Check("Moat", True, f"{where[0]}, with {where[1]}{notes}")


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

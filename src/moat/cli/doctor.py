"""`moat doctor`."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.output import print_json
from moat.config import settings
from moat.credentials.credential import VaultError
from moat.credentials.vault import Vault
from moat.engines.engine import Check
from moat.engines.registry import checks
from moat.errors import UsageError
from moat.ground.own import installation
from moat.ground.way import flaw, steps
from moat.paths import moat_home
from moat.runs.rebuild import rebuild_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_MARKS: Final = {"ok": "ok  ", "warning": "warn", "error": "NO  "}


@click.command("doctor")
@click.option(
    "--rebuild-index", is_flag=True, help="Rebuild a damaged index of runs from their folders."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(*, rebuild_index: bool, as_json: bool) -> int:
    """Check whether this machine has what sandboxes need, and say what to do about what is missing.

    It also says which of the host's programs Moat starts, and which it passes over because a run or
    another user could change them. The exit code is 1 if something is missing. A warning is about what
    works, and leaves it at 0.
    """
    if rebuild_index:
        return _rebuild()
    found = list(_all_checks())
    if as_json:
        usable = all(check.ok for check in found)
        print_json({"ok": usable, "checks": [_as_json(check) for check in found]})
    else:
        sys.stdout.write("".join(map(_text, found)))
    return 0 if all(check.ok for check in found) else 1


def _text(check: Check) -> str:
    lines = [f"{_MARKS[check.status]} {check.name}: {check.detail}", *check.warnings]
    lines += [check.remedy] if check.remedy and check.status != "ok" else []
    return "\n      ".join(lines) + "\n"


def _as_json(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "status": check.status,
        "detail": check.detail,
        "warnings": list(check.warnings),
        "remedy": check.remedy,
    }


def _all_checks() -> Iterator[Check]:
    found, programs = _settings()
    yield from checks(programs)
    yield found
    yield _vault()
    yield _installation()
    yield _proxy()


def _settings() -> tuple[Check, Mapping[str, str]]:
    """Read the settings; return what to say of them, and the programs that they name."""
    home = moat_home()
    try:
        programs = settings.load(home).programs
    except UsageError as error:
        return Check("settings", False, error.summary, error.hint), {}
    file = home / settings.FILE
    return Check("settings", True, str(file) if file.exists() else "none"), programs


def _vault() -> Check:
    """Say whether the credentials can be decrypted, and where their key is."""
    vault = Vault(moat_home())
    try:
        vault.check()
        state, count = vault.state, len(vault.entries())
    except VaultError as error:
        return Check("vault", False, error.summary, error.hint)
    if state is None:
        return Check("vault", True, "no credentials")
    counted = f"{count} credential{'' if count == 1 else 's'}"
    if state.key_place == "keyring":
        return Check("vault", True, f"{counted}; the key is in the keyring")
    key = vault.folder / "key"
    beware = f"the key is in the file {key}, for whoever can read your files"
    return Check("vault", True, counted, warnings=(beware,))


def _installation() -> Check:
    """Say where Moat comes from, and who else could change it. That never fails: it may be meant."""
    where = list(installation())
    flaws = dict.fromkeys(filter(None, (flaw(steps(path)) for path in where)))
    return Check("Moat", True, f"{where[0]}, with {where[1]}", warnings=tuple(flaws))


def _proxy() -> Check:
    found = find_spec("moat.egress.http.exchange")
    if found is not None and str(found.origin).endswith(tuple(EXTENSION_SUFFIXES)):
        return Check("proxy", True, "compiled")
    return Check(
        "proxy",
        True,
        "interpreted",
        "install Moat anew where there is a C compiler",
        ("interpreted code is slower than compiled code",),
    )


def _rebuild() -> int:
    rebuilt, left_out = rebuild_index()
    sys.stdout.write(f"{rebuilt} runs are in the new index\n")
    for folder, why in left_out:
        sys.stdout.write(f"left out: {folder}: {why}\n")
    return 1 if left_out else 0

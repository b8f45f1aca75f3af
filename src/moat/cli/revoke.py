"""`moat revoke`."""

from __future__ import annotations

import sys

import click

from moat.cli.grant import known_key, profile_option, refuse_inside_run
from moat.credentials.credential import CredentialKey, VaultError
from moat.credentials.vault import Vault
from moat.errors import UsageError
from moat.paths import moat_home


@click.command("revoke")
@click.argument("provider", nargs=-1, metavar="PROVIDER[:SCOPE]...")
@profile_option
@click.option("--all", "everything", is_flag=True, help="Revoke all credentials of all profiles.")
def command(provider: tuple[str, ...], *, profile: str, everything: bool) -> int:
    """Remove credentials from the vault. Running runs can't use them from the next request on.

    The provider still knows them: to make one worthless that somebody may have seen, revoke it there.
    """
    refuse_inside_run()
    if bool(provider) is everything:
        raise UsageError("give a provider, or --all", "See: moat grant list")
    vault = Vault(moat_home())
    if everything:
        keys = [each.key for each in vault.survey()[0]]
    else:
        keys = [CredentialKey.parse(each, profile) for each in provider]
    failed = 0
    for key in keys:
        try:
            found = known_key(vault, key)
            vault.remove(found)
        except VaultError as exc:
            hint = f"      {exc.hint}\n" if exc.hint else ""
            sys.stderr.write(f"moat: {exc.summary}\n{hint}")
            failed = exc.exit_code
            continue
        sys.stdout.write(f"{found.name}: revoked\n")
    return failed

"""`moat grant`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from moat.cli.plain.grant_list import carry_out
from moat.credentials.credential import DEFAULT_PROFILE, CredentialKey
from moat.errors import UsageError
from moat.paths import moat_home
from moat.providers.recipe import SOURCES
from moat.spec.grants import SSH

if TYPE_CHECKING:
    from moat.credentials.vault import Vault
    from moat.providers.recipe import Source

profile_option = click.option(
    "--profile",
    default=DEFAULT_PROFILE,
    envvar="MOAT_PROFILE",
    metavar="NAME",
    help="Your word for one of several accounts (default: $MOAT_PROFILE, or else default).",
)


class _ProviderOrCommand(click.Group):
    """A group whose command `add` needs no name: `moat grant github`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["add", *args]
        return super().parse_args(ctx, args)


@click.group(
    "grant",
    cls=_ProviderOrCommand,
    subcommand_metavar="PROVIDER[:SCOPE] [OPTIONS] | list | show | providers | schema",
)
def command() -> None:
    """Put a credential into the vault, for runs that are granted it.

    No run holds it: the proxy puts it into requests to the provider's hosts. Without --from, it is taken
    from where you have it already: the provider's variables, the login of its own program; else you log
    in with the browser or type it. The provider is asked whether it accepts it.

    \b
    moat grant github                   from GITHUB_TOKEN, gh, or typed
    moat grant openai --from stdin < key
    moat grant github --profile work    another account
    moat grant ssh --host git@host.org  an ssh key, for this host alone
    moat run --grant github -- claude   a run that uses it
    """  # noqa: D301  a backspace tells click not to wrap


@command.command("add", hidden=True)
@click.argument("provider", metavar="PROVIDER[:SCOPE]")
@profile_option
@click.option(
    "--from",
    "source",
    type=click.Choice(SOURCES),
    help="Take it from a variable, the provider's own program, the browser, a device code, the "
    "terminal, or standard input.",
)
@click.option(
    "--no-validate", is_flag=True, help="Don't ask the provider whether it accepts the credential."
)
@click.option(
    "--host",
    metavar="[USER@]HOST[:PORT]",
    help="For ssh: the host, as ssh knows it; with USER, for that user of it alone.",
)
@click.option(
    "--key",
    "key_file",
    metavar="PATH",
    help="For ssh: the key; a .pub file stands for the one in your ssh agent (default: the usual one).",
)
def add(
    provider: str,
    *,
    profile: str,
    source: Source | None,
    no_validate: bool,
    host: str | None,
    key_file: str | None,
) -> None:
    """Put a credential of PROVIDER into the vault, in place of the one of that name."""
    refuse_inside_run()
    key = CredentialKey.parse(provider, profile)
    if key.provider == SSH:
        if not (host or key.scope):
            raise UsageError(
                "an ssh key is granted for a host", "Name it: moat grant ssh --host HOST"
            )
        from moat.cli.grant_ssh import grant_ssh  # noqa: PLC0415  a listing needs none of it

        grant_ssh(host or key.scope, profile, key_file)
        return
    if host or key_file:
        raise UsageError("--host and --key are for ssh keys", "Leave them out")
    from moat.cli.granting import grant  # noqa: PLC0415  a listing needs none of it

    grant(key, source, validate=not no_validate)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> int:
    """List the credentials in the vault, without decrypting any."""
    return carry_out(as_json=as_json)


@command.command("show")
@click.argument("provider", metavar="PROVIDER[:SCOPE]")
@profile_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--reveal", is_flag=True, help="Print the secrets too, after a question.")
def show(provider: str, *, profile: str, as_json: bool, reveal: bool) -> None:
    """Show what is known of a credential. Its secrets are hidden."""
    from moat.cli.grant_text import as_dict, details  # noqa: PLC0415  a listing needs less
    from moat.cli.output import print_json  # noqa: PLC0415
    from moat.credentials.vault import Vault  # noqa: PLC0415

    if reveal:
        refuse_inside_run()
    vault = Vault(moat_home())
    key = known_key(vault, CredentialKey.parse(provider, profile))
    entry = vault.entry(key)
    secrets = None
    if reveal:
        _ask_to_reveal(key)
        secrets = vault.get(key).fields
    if as_json:
        print_json(as_dict(entry) | ({"secrets": dict(secrets)} if secrets else {}))
    else:
        sys.stdout.write(details(entry, secrets, time.time()))


@command.command("providers")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def providers(*, as_json: bool) -> None:
    """List the providers whose credentials can be granted, and where each can come from."""
    from moat.cli.output import print_json_array, table  # noqa: PLC0415
    from moat.providers import catalog  # noqa: PLC0415

    rows = [
        (each.id, each.title, ", ".join(each.recipe.sources)) for each in catalog.PROVIDERS.all()
    ]
    if as_json:
        names = ("name", "title", "sources")
        print_json_array(dict(zip(names, row, strict=True)) for row in rows)
    else:
        sys.stdout.write(table(("PROVIDER", "TITLE", "FROM"), rows))


def known_key(vault: Vault, key: CredentialKey) -> CredentialKey:
    """Return the key under which the vault has a credential, for another name of its provider.

    Raises `CredentialNotFoundError`, which names those that it has of the provider.
    """
    if vault.file(key).exists():  # also where nobody knows the provider any more
        return key
    from moat.credentials.failures import not_found  # noqa: PLC0415
    from moat.providers import catalog  # noqa: PLC0415  it loads YAML

    with suppress(UsageError):
        key = replace(key, provider=catalog.find(key.provider).id)
    if not vault.file(key).exists():
        raise not_found(key, vault.of_provider(key.provider))
    return key


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of a provider's file, for editors to check and complete it."""
    from moat.cli.output import print_json  # noqa: PLC0415  a listing needs none of it
    from moat.config.fields import schema as schema_of  # noqa: PLC0415
    from moat.providers.fields import FIELDS  # noqa: PLC0415

    print_json(schema_of("provider", FIELDS))


def refuse_inside_run() -> None:
    if os.environ.get("MOAT_RUN"):
        raise UsageError("this command runs inside a run", "Give it outside")


def _ask_to_reveal(key: CredentialKey) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--reveal asks, and there is no terminal", "Give it at a terminal")
    question = f"Print the secrets of {key.name} on this terminal?"
    if not click.confirm(question, default=False, err=True):
        raise click.Abort

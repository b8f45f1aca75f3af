"""`moat vault`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from moat.cli.grant import refuse_inside_run
from moat.cli.new_file import write_new
from moat.credentials.vault import Vault
from moat.errors import UsageError
from moat.paths import moat_home

if TYPE_CHECKING:
    from moat.credentials.state import KeyPlace

_MIN_PASSPHRASE: Final = 8
_stdin_option = click.option(
    "--passphrase-stdin", is_flag=True, help="Read the passphrase from standard input."
)


@click.group("vault")
def command() -> None:
    """Renew the vault's key, or copy all credentials to another machine.

    The vault has each credential in a file of its own, encrypted with AES-256-GCM. The key is in the
    keyring of your desktop, or in a file where there is none: moat doctor says which.
    """


@command.command("rekey")
@click.option(
    "--key",
    "place",
    type=click.Choice(("keyring", "file")),
    help="Keep the new key in the keyring, or in a file of mode 0600 (default: where it was).",
)
def rekey(*, place: KeyPlace | None) -> None:
    """Encrypt all credentials with a new key. Runs go on."""
    refuse_inside_run()
    vault = Vault(moat_home())
    count = vault.rekey(place)
    where = "the keyring" if vault.state and vault.state.key_place == "keyring" else "a file"
    sys.stdout.write(f"{_counted(count)} encrypted with a new key, which is in {where}\n")


@command.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_stdin_option
def backup(file: Path, *, passphrase_stdin: bool) -> None:
    """Copy all credentials to FILE, encrypted with a passphrase."""
    from moat.credentials.backup import encode  # noqa: PLC0415  loads slowly

    refuse_inside_run()
    vault = Vault(moat_home())
    credentials = [vault.get(each.key) for each in vault.entries()]
    if not credentials:
        raise UsageError("the vault is empty", "See: moat grant --help")
    passphrase = _passphrase(from_stdin=passphrase_stdin, confirm=True)
    try:
        write_new(file, [encode(credentials, passphrase)])
    except OSError as exc:
        raise UsageError(f"{file} can't be written: {exc.strerror}") from exc
    sys.stdout.write(f"{_counted(len(credentials))} copied to {file}\n")


@command.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--overwrite", is_flag=True, help="Replace credentials that are in the vault already."
)
@_stdin_option
def restore(file: Path, *, overwrite: bool, passphrase_stdin: bool) -> None:
    """Put the credentials in the backup FILE into the vault."""
    from moat.config.files import read_bounded  # noqa: PLC0415  for this command alone
    from moat.credentials.backup import MAX_BYTES, decode  # noqa: PLC0415  loads slowly
    from moat.platform import memory  # noqa: PLC0415

    refuse_inside_run()
    memory.keep_private()
    content = read_bounded(file, MAX_BYTES)
    credentials = decode(content, _passphrase(from_stdin=passphrase_stdin, confirm=False))
    restored = Vault(moat_home()).restore(credentials, overwrite=overwrite)
    sys.stdout.write("".join(f"{each.key.name}: restored\n" for each in restored))
    if len(restored) < len(credentials):
        there = len(credentials) - len(restored)
        sys.stderr.write(f"moat: {_counted(there)} left as in the vault (see --overwrite)\n")


def _passphrase(*, from_stdin: bool, confirm: bool) -> str:
    if from_stdin:
        passphrase = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        passphrase = click.prompt(
            "Passphrase", hide_input=True, confirmation_prompt=confirm, err=True
        )
    else:
        raise UsageError("there is no terminal to type a passphrase", "Give --passphrase-stdin")
    if len(passphrase) < _MIN_PASSPHRASE:
        raise UsageError(
            f"the passphrase has fewer than {_MIN_PASSPHRASE} characters", "Several words are good"
        )
    return passphrase


def _counted(count: int) -> str:
    return f"{count} credential{'' if count == 1 else 's'}"

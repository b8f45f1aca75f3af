"""`moat grant ssh`: a key of the user's, for one host."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moat.credentials import ssh, ssh_obtaining
from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.vault import Vault
from moat.errors import UsageError
from moat.paths import moat_home
from moat.platform import memory
from moat.printable import printable
from moat.spec.grants import SSH
from moat.ssh import signatures
from moat.ssh.host_address import HostAddress

if TYPE_CHECKING:
    from moat.credentials.ssh_obtaining import FoundKey


def grant_ssh(host: str, profile: str, key: str | None) -> None:
    """Put a key for a host into the vault, and pin the keys of the host. Raises `MoatError`."""
    memory.keep_private()  # the key is in this process from now on
    try:
        address = HostAddress.parse(host)
    except ValueError as exc:
        raise UsageError(
            str(exc), "Write it like this: moat grant ssh --host git@github.com"
        ) from None
    pinned = _host_keys(address)
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    found = ssh_obtaining.find_key(key, Path.home(), agent, _passphrase)
    name = CredentialKey.parse(f"{SSH}:{address.place}", profile)
    Vault(moat_home()).put(
        Credential(
            key=name,
            fields={ssh.PRIVATE_KEY: found.private} if found.private else {},
            attributes=ssh.attributes(address, pinned, found.public, found.comment),
            source="file" if found.private else "agent",
        )
    )
    _say(f"{name.name}: granted, {_described(found)}")
    users = f"the user {address.user}" if address.user else "all users"
    _say(
        f"runs may log in as {users} of {address.place}; use it: moat run --grant {name.arguments}"
    )


def _described(found: FoundKey) -> str:
    return f"the key {signatures.fingerprint(found.public)} in {printable(found.place)}"


def _host_keys(address: HostAddress) -> tuple[bytes, ...]:
    known = ssh_obtaining.known_host_keys(address, Path.home())
    if known:
        return known
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        port = f"-p {address.port} " if address.port != 22 else ""
        raise UsageError(
            f"{address.place} isn't in your known_hosts, so nobody knows its keys",
            f"Connect once, and look at the fingerprint: ssh {port}{address.host}",
        )
    scanned = ssh_obtaining.scanned_host_keys(address)
    _say(f"{address.place} isn't in your known_hosts. It shows these keys:")
    for each in scanned:
        sys.stderr.write(f"  {signatures.key_type(each):<20} {signatures.fingerprint(each)}\n")
    if not click.confirm("Are they the right ones?", default=False, err=True):
        raise click.Abort
    return scanned


def _passphrase(path: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{path} has a passphrase, and there is no terminal to ask for it",
            f"Add it to your ssh agent: ssh-add {path}",
        )
    return click.prompt(f"Passphrase of {printable(path)}", hide_input=True, err=True)


def _say(text: str) -> None:
    sys.stderr.write(f"moat: {text}\n")

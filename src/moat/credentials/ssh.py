"""An ssh key as a credential: for one host, whose keys it pins.

The key is in the vault, or in the user's own ssh agent, which then makes the signatures.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from moat.credentials.credential import CredentialKey, VaultError
from moat.errors import UsageError
from moat.spec.grants import SERVICES, SSH, SSH_AGENT, Grant, SandboxFile
from moat.ssh import signatures
from moat.ssh.agent import Identity
from moat.ssh.host_address import HostAddress
from moat.ssh.known_hosts import host_keys, lines_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.credentials.credential import Credential, Entry
    from moat.ssh.agent import Signing

PRIVATE_KEY: Final = "private_key"
"""The secret field; a credential without it names a key of the user's agent."""
_KNOWN_HOSTS: Final = ".ssh/known_hosts"


def key_of(written: CredentialKey) -> CredentialKey:
    """Return the name of a key for the host that a user has written. Raises `UsageError`."""
    try:
        scope = HostAddress.parse(written.scope).place
    except ValueError as exc:
        why = str(exc) if written.scope else "an ssh key is granted for a host"
        raise UsageError(why, f"Write {SSH}:HOST or {SSH}:HOST:PORT") from None
    return CredentialKey(provider=SSH, scope=scope, profile=written.profile)


def attributes(
    address: HostAddress, pinned: Iterable[bytes], public: bytes, comment: str = ""
) -> dict[str, str]:
    """Return what the credential of a key says of the key and its host."""
    return {
        "address": str(address),
        "host_keys": lines_for(address, pinned),
        "public_key": base64.b64encode(public).decode(),
        "comment": comment,
    }


def grants(entries: Sequence[Entry], agent: str) -> tuple[Grant, ...]:
    """Return what a run's specification says of its ssh keys.

    `agent`: the path of the user's ssh agent. Raises `VaultError` for a key that lies there, where the
    user has none.
    """
    known = "".join(each.attributes.get("host_keys", "") for each in entries)
    addresses = [identity(each).address for each in entries]
    return tuple(
        Grant(
            provider=SSH,
            scope=each.key.scope,
            profile=each.key.profile,
            env={"SSH_AUTH_SOCK": f"{SERVICES}/{SSH_AGENT}"},
            # One file for all of them: it has the same content in each.
            files=(SandboxFile(path=_KNOWN_HOSTS, content=known),),
            account=address.user,
            tcp=(address.endpoint,),
            agent="" if PRIVATE_KEY in each.field_names else _needed(agent, each),
        )
        for each, address in zip(entries, addresses, strict=True)
    )


def _needed(agent: str, entry: Entry) -> str:
    if not agent:
        raise VaultError(
            f"the key of {entry.key.name} is in your ssh agent, and there is none here",
            "Start one, and add the key: ssh-add",
        )
    return agent


def identity(entry: Entry) -> Identity:
    """Return what a run's agent knows of the key. Raises `VaultError`."""
    known = entry.attributes
    try:
        return Identity(
            grant=entry.key.name,
            key=base64.b64decode(known["public_key"], validate=True),
            comment=known.get("comment", ""),
            address=HostAddress.parse(known["address"]),
            host_keys=frozenset(host_keys(known["host_keys"].splitlines())),
        )
    except (KeyError, ValueError) as exc:
        raise VaultError(
            f"the credential {entry.key.name} is no ssh key: {exc}",
            f"Grant it again: moat grant ssh --host {entry.key.scope}",
        ) from exc


def sign(held: Credential, signing: Signing) -> bytes:
    """Return a signature with a key of the vault. Raises `VaultError`."""
    try:
        key = signatures.private_key(held.fields[PRIVATE_KEY].encode())
        if signatures.public_blob(key) != signing.identity.key:
            raise ValueError("it is another key")
    except (KeyError, TypeError, ValueError) as exc:
        raise VaultError(
            f"the key of the credential {held.key.name} can't be used: {exc}",
            f"Grant it again: moat grant ssh --host {held.key.scope}",
        ) from exc
    return signatures.sign(key, signing.data, signing.algorithm)

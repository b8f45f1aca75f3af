"""The ssh keys that a run was granted, from the vault as it is when one is needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from moat.credentials import ssh
from moat.credentials.credential import CredentialKey, VaultError
from moat.credentials.vault import Vault
from moat.spec.grants import SSH
from moat.ssh import client

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moat.spec import Grant
    from moat.ssh.agent import Identity, Signing

log = logging.getLogger(__name__)

_Stamp = tuple[int, int]
"""Inode and time of last change: an entry is replaced as a whole."""


class GrantedKeys:
    """Implements `ssh_agent.Keys`. No private key stays in memory from one signature to the next."""

    def __init__(self, grants: Iterable[Grant], home: Path) -> None:
        self._vault = Vault(home)
        self._grants = {CredentialKey.of(each): each for each in grants if each.provider == SSH}
        self._known: dict[CredentialKey, tuple[_Stamp, Identity]] = {}
        self._problems: dict[CredentialKey, str] = {}
        """The problem logged last for each key: a client may ask a thousand times a second."""

    def identities(self) -> list[Identity]:
        """Return the keys that are granted now. One that can't be read is logged, and left out."""
        found = (self._identity(key) for key in self._grants)
        return [each for each in found if each is not None]

    def _identity(self, key: CredentialKey) -> Identity | None:
        try:
            status = self._vault.file(key).stat()
        except FileNotFoundError:
            return None  # revoked
        stamp = (status.st_ino, status.st_ctime_ns)
        known = self._known.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            identity = ssh.identity(self._vault.get(key).entry)
        except VaultError as exc:
            if self._problems.get(key) != exc.summary:
                self._problems[key] = exc.summary
                log.error("the run has no %s: %s", key.name, exc.summary)  # noqa: TRY400  no traceback
            return None
        self._known[key] = (stamp, identity)
        return identity

    def sign(self, signing: Signing) -> bytes:
        for key, grant in self._grants.items():
            if key.name == signing.identity.grant:
                held = self._vault.get(key)
                if held.fields:
                    return ssh.sign(held, signing)
                identity = signing.identity
                return client.sign(grant.agent, identity.key, signing.data, signing.flags)
        raise VaultError(f"the run has no {signing.identity.grant}")

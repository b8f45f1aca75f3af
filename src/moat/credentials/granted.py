"""Grants of a run: the credentials that its words name, as its specification has them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from moat.credentials.credential import CredentialKey, CredentialNotFoundError
from moat.credentials.failures import instead
from moat.credentials.vault import Vault
from moat.errors import GrantMissingError
from moat.providers import catalog
from moat.providers.collisions import told_apart
from moat.providers.granting import grant_of
from moat.spec.grants import SSH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from moat.credentials.credential import Entry
    from moat.providers.provider import Provider
    from moat.spec.grants import Grant

    Offer = Callable[[CredentialKey, str], bool]


def _written(name: str, profile: str) -> CredentialKey:
    named, at, own = name.rpartition("@")
    if named.startswith(f"{SSH}:") and ("." in own or ":" in own):
        # `ssh:git@host.org`: as ssh has it, and no profile. Which user it is, the credential says.
        named, own = f"{SSH}:{own}", profile
    return CredentialKey.parse(named if at else name, own if at else profile)


class GrantedCredentials:
    """The vault as it is asked before a run: for what is there, and never for a secret."""

    def __init__(self, home: Path, offer: Offer | None) -> None:
        """`home`: the store. `offer` offers to grant what is missing; `None`: nobody can be asked."""
        self._home = home
        self._vault = Vault(home)
        self._offer = offer

    def grants(self, names: Iterable[str], profile: str) -> tuple[Grant, ...]:
        """Return the grants that `PROVIDER[:SCOPE][@PROFILE]` name; `profile` is for those without one.

        Raises `GrantMissingError`, and `UsageError` for names that can't be or don't go together.
        """
        named = [_written(name, profile) for name in names]
        of_providers = self._of_providers(key for key in named if key.provider != SSH)
        return (*of_providers, *self._ssh_keys([key for key in named if key.provider == SSH]))

    def _ssh_keys(self, named: list[CredentialKey]) -> tuple[Grant, ...]:
        if not named:
            return ()
        from moat.credentials import ssh  # noqa: PLC0415  loads slowly

        keys = dict.fromkeys(map(ssh.key_of, named))
        agent = os.environ.get("SSH_AUTH_SOCK", "")
        return ssh.grants([self._entry(key) for key in keys], agent)

    def _of_providers(self, named: Iterable[CredentialKey]) -> tuple[Grant, ...]:
        found: dict[CredentialKey, Grant] = {}
        for written in named:
            key, provider = self._of_provider(written)
            if key not in found:
                entry = self._entry(key)
                found[key] = grant_of(
                    provider, key.scope, key.profile, entry.field_names, entry.attributes
                )
        return told_apart(list(found.values()))

    def _of_provider(self, written: CredentialKey) -> tuple[CredentialKey, Provider]:
        provider = catalog.find(written.provider, self._home)
        provider.check_scope(written.scope)
        # The provider may have been named by an alias.
        return CredentialKey(
            provider=provider.id, scope=written.scope, profile=written.profile
        ), provider

    def _entry(self, key: CredentialKey) -> Entry:
        entry = self._find(key)
        if isinstance(entry, str) and self._offer is not None and self._offer(key, entry):
            entry = self._find(key)
        if isinstance(entry, str):
            others = [each for each in self._vault.of_provider(key.provider) if each != key]
            give = f"moat grant {key.arguments}"
            hint = f"Grant it first: {give}"
            if others:
                hint = f"{instead(others)}; for this one: {give}"
            raise GrantMissingError(entry, hint)
        return entry

    def _find(self, key: CredentialKey) -> Entry | str:
        """Return what the vault says of a credential, or why it can't be used."""
        try:
            entry = self._vault.entry(key)
        except CredentialNotFoundError:
            return f"there is no credential {key.name} in the vault"
        renewable = "refresh_token" in entry.field_names
        if entry.expires_at is not None and entry.expires_at <= time.time() and not renewable:
            return f"the credential {key.name} has expired"
        return entry

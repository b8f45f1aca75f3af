"""The secrets that a run's commands get as variables, in the vault for as long as the run lives.

The client looks them up, and the run's supervisor needs them for the run's command and for each further
one, perhaps weeks later. Neither the specification nor anything else in the run's folder has them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from moat.credentials.credential import (
    RUN_SECRETS,
    Credential,
    CredentialKey,
    CredentialNotFoundError,
)
from moat.credentials.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moat.spec import RunSpec


class RunSecrets:
    """The secrets of the runs of one store. Implements `config.kept_secrets.SecretKeeper`."""

    def __init__(self, home: Path, programs: Mapping[str, str]) -> None:
        """`programs`: the paths that the user has chosen for the programs of the secrets' stores."""
        self._home = home
        self._programs = programs

    def keep(self, spec: RunSpec, references: Mapping[str, str]) -> None:
        """Look up all secrets of a run, and keep them. Raises `SecretError` and `VaultError`."""
        from moat.credentials.secret_sources import Sources  # noqa: PLC0415  for runs with secrets

        writable = (spec.workspace, *(each.source for each in spec.mounts if each.mode == "rw"))
        sources = Sources(os.environ, self._programs, tuple(map(os.path.realpath, writable)))
        secrets = sources.look_up(references)
        Vault(self._home).put(Credential(key=_key(spec.id), fields=secrets))

    def forget(self, run_id: str) -> None:
        forget(self._home, run_id)


def secrets_of(home: Path, run_id: str) -> Mapping[str, str]:
    """Return the secrets of a run. Raises `VaultError`."""
    return Vault(home).get(_key(run_id)).fields


def forget(home: Path, run_id: str) -> None:
    """Remove the secrets of a run, if it has any. Raises `VaultError`."""
    vault, key = Vault(home), _key(run_id)
    if vault.file(key).exists():
        with suppress(CredentialNotFoundError):  # another process did it just now
            vault.remove(key)


def _key(run_id: str) -> CredentialKey:
    return CredentialKey(provider=RUN_SECRETS, scope=run_id)

"""The errors of a vault, each with what to do. Pure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from moat.credentials.credential import (
    AUDIT_KEYS,
    RUN_SECRETS,
    CredentialNotFoundError,
    VaultError,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from moat.credentials.credential import CredentialKey

_RESTORE = "Restore a backup (moat vault restore --overwrite), or revoke and grant it anew"
_MOVE_AWAY = (
    "Bring it back; else move that folder away, and restore a backup or grant everything anew"
)


@contextmanager
def vault_errors(done: str) -> Generator[None]:
    """Turn a failed system call into a `VaultError`; the block wanted the vault to be `done`."""
    try:
        yield
    except OSError as exc:
        raise VaultError(
            f"the vault can't be {done}: {exc.strerror}",
            f"Nothing has changed: see {exc.filename}" if exc.filename else None,
        ) from exc


def damaged(path: Path, reason: str) -> VaultError:
    return VaultError(f"{path} is damaged: {reason}", _RESTORE)


def state_is_damaged(path: Path, reason: str) -> VaultError:
    return VaultError(f"{path} is damaged: {reason}", _MOVE_AWAY)


def undecipherable(key: CredentialKey, reason: str) -> VaultError:
    """Return the error for an entry that can't be decrypted."""
    hint = _RESTORE
    if key.provider == AUDIT_KEYS:
        hint = "Make a new key for audit logs: moat audit key rotate"
    elif key.provider == RUN_SECRETS:
        hint = "Those are the secrets of a run: stop it"
    return VaultError(f"{key.name} {reason}", hint)


def key_is_gone(folder: Path) -> VaultError:
    return _without_key(folder, "gone")


def key_is_damaged(folder: Path) -> VaultError:
    return _without_key(folder, "damaged")


def _without_key(folder: Path, state: str) -> VaultError:
    return VaultError(f"the key of the vault {folder} is {state}", _MOVE_AWAY)


def not_found(key: CredentialKey, others: Sequence[CredentialKey] = ()) -> CredentialNotFoundError:
    """Return the error for a credential that isn't there; `others` of its provider are."""
    hint = instead(others) or f"Give one: moat grant {key.arguments}"
    return CredentialNotFoundError(f"there is no credential {key.name}", hint)


def instead(others: Sequence[CredentialKey]) -> str:
    """Name the credentials that there are in place of a missing one; empty for none."""
    return f"The vault has {', '.join(each.name for each in others)}" if others else ""

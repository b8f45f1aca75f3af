"""The keys of an installation, which sign the checkpoints of its runs. They lie in the vault.

One signs at a time. Those before it are kept as public facts, so that logs they have signed can still be
recognised; their private halves are deleted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moat import timestamps
from moat.audit.proofs import fingerprint
from moat.credentials.credential import (
    AUDIT_KEYS,
    Credential,
    CredentialKey,
    CredentialNotFoundError,
    VaultError,
)
from moat.credentials.vault import Vault
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_CURRENT: Final = CredentialKey(provider=AUDIT_KEYS, scope="current")


class SigningKey:
    """A key that can sign. Implements `checkpoint.Signer`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.public = private.public_key().public_bytes_raw()
        self.sign: Callable[[bytes], bytes] = private.sign


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The public facts about a key of this installation."""

    public: bytes
    created_at: str
    retired_at: str = ""
    """Empty for the key that signs now."""
    revoked: bool = False
    """Nothing that it has signed is to be believed any more."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)


class SigningKeys:
    """The keys of the installation in `home`."""

    def __init__(self, home: Path) -> None:
        self._vault = Vault(home)

    def current(self) -> SigningKey:
        """Return the key that signs, which is made at its first use. Raises `VaultError`."""
        try:
            return _signing_key(self._vault.get(_CURRENT))
        except CredentialNotFoundError:
            pass
        with self._vault.locked(_CURRENT):
            with suppress(CredentialNotFoundError):  # another process has made it meanwhile
                return _signing_key(self._vault.get(_CURRENT))
            return self._make()

    def known(self) -> list[KnownKey]:
        """Return all keys, the newest first. Raises `VaultError`."""
        try:
            entry = self._vault.entry(_CURRENT)
        except CredentialNotFoundError:
            return []
        now = KnownKey(bytes.fromhex(entry.attributes["public"]), entry.created_at)
        return [now, *_earlier(entry.attributes)]

    def rotate(self) -> KnownKey:
        """Sign with a new key from now on, and delete the private half of the old one.

        Supervisors that are alive go on with the key that they have. Raises `VaultError`.
        """
        with self._vault.locked(_CURRENT):
            self._make()
        return self.known()[0]

    def revoke(self, name: str) -> KnownKey:
        """Mark a key, named by the beginning of its fingerprint, as not to be believed.

        If it is the one that signs, a new one takes its place. Raises `UsageError` and `VaultError`.
        """
        matching = [each for each in self.known() if name and each.fingerprint.startswith(name)]
        if len(matching) != 1:
            raise UsageError(
                f"no key, or more than one, has the fingerprint {name}…", "See: moat audit key show"
            )
        with self._vault.locked(_CURRENT):
            if not matching[0].retired_at:
                self._make()
            current = self._vault.get(_CURRENT)
            keys = [
                replace(each, revoked=each.revoked or each.public == matching[0].public)
                for each in _earlier(current.attributes)
            ]
            attributes = {"public": current.attributes["public"], "earlier": _encode(keys)}
            self._vault.put(replace(current, attributes=attributes))
        return next(each for each in self.known() if each.public == matching[0].public)

    def _make(self) -> SigningKey:
        private = Ed25519PrivateKey.generate()
        now = timestamps.now(milliseconds=False)
        earlier = [replace(each, retired_at=each.retired_at or now) for each in self.known()]
        self._vault.put(
            Credential(
                key=_CURRENT,
                fields={"private": private.private_bytes_raw().hex()},
                attributes={
                    "public": private.public_key().public_bytes_raw().hex(),
                    "earlier": _encode(earlier),
                },
                source="generated",
                created_at=now,
            )
        )
        return SigningKey(private)


def _signing_key(credential: Credential) -> SigningKey:
    try:
        private = bytes.fromhex(credential.fields["private"])
        return SigningKey(Ed25519PrivateKey.from_private_bytes(private))
    except (KeyError, ValueError):  # whose text might quote the key
        raise VaultError(
            "the key that signs audit logs is damaged", "Make a new one: moat audit key rotate"
        ) from None


def _encode(keys: list[KnownKey]) -> str:
    return " ".join(
        ",".join((each.public.hex(), each.created_at, each.retired_at, str(int(each.revoked))))
        for each in keys
    )


def _earlier(attributes: Mapping[str, str]) -> list[KnownKey]:
    found: list[KnownKey] = []
    for each in attributes.get("earlier", "").split():
        public, created, retired, revoked = each.split(",")
        found.append(KnownKey(bytes.fromhex(public), created, retired, revoked == "1"))
    return found

"""Credentials, and the names by which they are found. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from moat.errors import MoatError, UsageError

if TYPE_CHECKING:
    from moat.spec.grants import Grant

DEFAULT_PROFILE: Final = "default"
RUN_SECRETS: Final = "run-secrets"
"""The name, in place of a provider, of the secrets that a run gets as variables; see `run_secrets`."""
AUDIT_KEYS: Final = "audit-keys"
"""The name, in place of a provider, of the keys that sign audit logs; see `audit.signing_key`."""
INTERNAL: Final = frozenset({RUN_SECRETS, AUDIT_KEYS})
"""Entries that nobody has granted, and that no listing shows."""
_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PROFILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# It may be a host, a path or an account, and it is printed in lists.
_SCOPE: Final = re.compile(r"[!-~]{0,255}")


class VaultError(MoatError):
    """The vault, its key or an entry of it can't be used."""

    code = "vault"


class CredentialNotFoundError(VaultError):
    """The vault has no such credential."""

    code = "credential_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialKey:
    """The name of a credential: the vault has at most one for each."""

    provider: str
    scope: str = ""
    """The part of `PROVIDER:SCOPE` after the colon."""
    profile: str = DEFAULT_PROFILE
    """The user's word for one of several accounts with a provider."""

    @classmethod
    def of(cls, grant: "Grant") -> Self:
        """Return the name of the credential that a run was granted."""
        return cls(provider=grant.provider, scope=grant.scope, profile=grant.profile)

    @classmethod
    def parse(cls, name: str, profile: str = DEFAULT_PROFILE) -> Self:
        """Read `PROVIDER[:SCOPE]`. Raises `UsageError`."""
        provider, _, scope = name.partition(":")
        key = cls(provider=provider, scope=scope, profile=profile)
        try:
            key.check()
        except ValueError as exc:
            raise UsageError(
                str(exc),
                "Write PROVIDER or PROVIDER:SCOPE, as in: moat grant github --profile work",
            ) from exc
        return key

    def check(self) -> None:
        """Raise `ValueError` for names that would do harm in a list or a command line."""
        for what, pattern, text in (
            ("provider", _PROVIDER, self.provider),
            ("scope", _SCOPE, self.scope),
            ("profile", _PROFILE, self.profile),
        ):
            if not pattern.fullmatch(text):
                raise ValueError(f"{text!r} can't be the name of a {what}")

    @property
    def name(self) -> str:
        """The credential as messages and records name it, the same as `Grant.name`."""
        named = f"{self.provider}:{self.scope}" if self.scope else self.provider
        return named if self.profile == DEFAULT_PROFILE else f"{named}@{self.profile}"

    @property
    def arguments(self) -> str:
        """The arguments of `moat grant` that name the credential."""
        named = f"{self.provider}:{self.scope}" if self.scope else self.provider
        return named if self.profile == DEFAULT_PROFILE else f"{named} --profile {self.profile}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The facts about a credential that the vault gives without decrypting it."""

    key: CredentialKey
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Facts that are no secret: account, host, region, token_url, client_id, scopes, ..."""
    expires_at: float | None = None
    """Seconds since the epoch, `None` where no end is known."""
    source: str = ""
    """The source of the credential: env, cli, browser, device, prompt or stdin."""
    created_at: str = ""
    """RFC 3339, in UTC."""
    version: int = 0
    """Given by the vault with each `put`. No version comes twice, not even after `remove`."""
    field_names: tuple[str, ...] = ()
    """The names of the secret fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential in the clear."""

    key: CredentialKey
    fields: Mapping[str, str] = field(repr=False)
    """The secrets: token, refresh_token, username, password, key, access_key_id, ..."""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    expires_at: float | None = None
    source: str = ""
    created_at: str = ""
    version: int = 0

    @property
    def entry(self) -> Entry:
        """The part of the credential that may be shown."""
        return Entry(
            key=self.key,
            attributes=self.attributes,
            expires_at=self.expires_at,
            source=self.source,
            created_at=self.created_at,
            version=self.version,
            field_names=tuple(self.fields),
        )

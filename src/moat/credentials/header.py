"""The part of a credential's file that is not encrypted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from moat.credentials.credential import DEFAULT_PROFILE, CredentialKey, Entry

FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line of the file, as JSON."""

    format: int
    provider: str
    scope: str = ""
    profile: str = DEFAULT_PROFILE
    version: int
    source: str = ""
    created_at: str = ""
    expires_at: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: tuple[str, ...] = ()
    """The names of the secret fields."""
    key_id: str
    """Id of the key, in the vault's ring, that encrypts the second line."""

    @property
    def entry(self) -> Entry:
        return Entry(
            key=CredentialKey(provider=self.provider, scope=self.scope, profile=self.profile),
            attributes=self.attributes,
            expires_at=self.expires_at,
            source=self.source,
            created_at=self.created_at,
            version=self.version,
            field_names=self.fields,
        )

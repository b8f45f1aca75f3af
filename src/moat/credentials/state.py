"""The state of a vault as a whole. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

FORMAT: Final = 1
KeyPlace = Literal["keyring", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultState:
    """The content of `vault.json`."""

    format: int = FORMAT
    id: str
    """Under this name the keyring has the key."""
    key_place: KeyPlace
    versions: int = 0
    """The highest version that an entry has ever got."""

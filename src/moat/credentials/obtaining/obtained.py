"""The yield of a source. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from moat.providers.recipe import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """A credential as a source gave it, before anybody has looked whether it works."""

    fields: Mapping[str, str] = field(repr=False)
    source: Source
    origin: str
    """The place that gave it, as the user knows it: a variable, a file, a command."""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    expires_at: float | None = None

"""A provider: where a credential is obtained, where it goes, and what the sandbox sees of it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from moat.errors import UsageError
from moat.providers.recipe import Recipe
from moat.spec.grants import Injection, SandboxFile
from moat.spec.hosts import canonical_host, is_address

_HOST: Final = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A service. In its texts `{name}` stands for a secret field, an attribute, or the scope."""

    id: str
    title: str
    aliases: tuple[str, ...] = ()
    notes: str = ""
    """Remarks for the user, shown in the reference."""
    scope: str = ""
    """The attribute that the scope of `PROVIDER:SCOPE` gives; empty for a provider without scopes."""
    recipe: Recipe
    hosts: tuple[str, ...] = ()
    """Hosts that a grant opens and that get no credential: downloads with signed addresses, CDNs."""
    inject: tuple[Injection, ...] = ()
    placeholders: Mapping[str, str] = field(default_factory=dict[str, str])
    """The shape of what the sandbox sees for each secret field; see `moat.providers.placeholders`."""
    claims: str = ""
    """JSON: the claims of placeholders that are JSON Web Tokens."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the sandbox."""
    files: tuple[SandboxFile, ...] = ()
    builtin: bool = True

    def recipe_for(self, scope: str) -> Recipe:
        """Return how a credential for a scope is obtained. Raises `UsageError` for a wrong scope."""
        self.check_scope(scope)
        if not self.scope:
            return self.recipe
        usual = self.recipe.attributes.get(self.scope, "")
        if scope in {"", usual}:
            return self.recipe.about(self.scope, usual)
        recipe = self.recipe.with_logins_for(self.scope).about(self.scope, scope)
        return replace(recipe, fixed={self.scope: scope})

    def check_scope(self, scope: str) -> None:
        """Raise `UsageError` for a scope that the provider can't have, or where it lacks one."""
        if scope and not self.scope:
            raise UsageError(
                f"{self.id} has no scopes, so there is no {self.id}:{scope}",
                f"For one of several accounts, write: {self.id} --profile NAME",
            )
        if self.scope and not scope and self.scope not in self.recipe.attributes:
            raise UsageError(
                f"{self.id} needs a {self.scope}", f"Write {self.id}:{self.scope.upper()}"
            )
        if self.scope == "host" and scope:
            check_host(scope)


def check_host(host: str) -> None:
    """Raise `UsageError` for what isn't the name of one host: a credential goes there."""
    if not _HOST.fullmatch(host) or is_address(canonical_host(host)):
        raise UsageError(f"{host!r} is not the name of a host", "Write it like git.example.com")

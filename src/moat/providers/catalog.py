"""All providers: those that come with Moat, and the user's own in `$MOAT_HOME/providers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from moat import typed_json
from moat.config.catalog import Catalog
from moat.providers.fields import FIELDS
from moat.providers.names import check_names
from moat.providers.provider import Provider


def _provider(content: dict[str, Any], builtin: bool) -> Provider:
    if not builtin and not content.get("inject"):
        raise ValueError("inject is missing: it gives requests nothing")
    given = dict(content)
    obtain: dict[str, Any] = dict(given.pop("obtain", {}))
    obtain["variables"] = [_variables(each["fields"]) for each in obtain.get("variables", ())]
    obtain["attribute_variables"] = _variables(obtain.get("attribute_variables", {}))
    obtain |= {"provider": given["id"], "title": given["title"]}
    given["recipe"] = obtain
    given["inject"] = [
        {**each, "ports": [int(port) for port in each.get("ports", ("443",))]}
        for each in given.get("inject", ())
    ]
    provider = typed_json.read(Provider, {**given, "builtin": builtin})
    check_names(provider)
    return provider


def _variables(named: dict[str, str]) -> dict[str, list[str]]:
    return {name: variables.split() for name, variables in named.items()}


PROVIDERS: Final = Catalog(
    kind="provider",
    shipped=Path(__file__).with_name("data"),
    folder="providers",
    fields=FIELDS,
    required=("id", "title"),
    page="docs/credentials.md",
    listing="moat grant providers",
    make=_provider,
    aliases=lambda provider: provider.aliases,
)
find: Final = PROVIDERS.find

"""A run's grant of a provider, as its specification has it. Pure but for the placeholders' dice."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError
from moat.providers.placeholders import DEFAULT, placeholder
from moat.providers.provider import check_host
from moat.spec.grants import Grant, Injection, Refresh, SandboxFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from moat.providers.provider import Provider

_BASIC: Final = re.compile(r"\{basic:((?:[^{}]|\{[a-z0-9_]+\})*)\}")
_NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class _MissingError(LookupError):
    """A text names something that the credential doesn't have."""


def grant_of(
    provider: Provider,
    scope: str,
    profile: str,
    fields: Collection[str],
    attributes: Mapping[str, str],
) -> Grant:
    """Return what a run is granted of a credential that has these fields and attributes.

    Parts that name a field or attribute that the credential doesn't have are left out: a key of AWS may
    have a session token, and needs none. Raises `UsageError` if no way into requests is left.
    """
    provider.check_scope(scope)
    if "refresh_token" in fields:  # then there is, or will be, a token
        fields = {*fields, "token"}
    known = dict(attributes) | ({provider.scope: scope} if scope else {})
    placeholders = {
        name: placeholder(provider.placeholders.get(name, DEFAULT), _claims(provider, known))
        for name in fields
    }
    injections = tuple(_injections(provider.inject, known, fields))
    if provider.inject and not injections:
        raise UsageError(
            f"the credential {provider.id} lacks what requests need of it",
            f"Grant it again: moat grant {provider.id}",
        )
    seen = {**known, **placeholders}
    return Grant(
        provider=provider.id,
        scope=scope,
        profile=profile,
        injections=injections,
        placeholders=placeholders,
        env=dict(_variables(provider.env, seen)),
        files=tuple(_files(provider.files, seen)),
        hosts=tuple(_host(each, known) for each in provider.hosts),
        account=known.get("account", ""),
        refresh=_refresh(known, fields),
    )


def _injections(
    injections: Iterable[Injection], known: Mapping[str, str], fields: Collection[str]
) -> Iterable[Injection]:
    # A secret stays a name: the proxy alone puts it in.
    secret = {name: f"{{{name}}}" for name in fields}
    for each in injections:
        try:
            yield replace(
                each,
                hosts=tuple(_host(host, known) for host in each.hosts),
                paths=tuple(_filled(path, known) for path in each.paths),
                name=_filled(each.name, known),
                value=_filled(each.value, {**known, **secret}) if _sets(each) else "",
            )
        except _MissingError:
            continue


def _sets(injection: Injection) -> bool:
    """Tell whether a value is set; otherwise a placeholder is replaced, or a request signed."""
    return not injection.replace and injection.kind in {"header", "basic", "query"}


def _variables(env: Mapping[str, str], seen: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, text in env.items():
        try:
            yield name, _filled(text, seen)
        except _MissingError:
            continue


def _files(files: Iterable[SandboxFile], seen: Mapping[str, str]) -> Iterable[SandboxFile]:
    for each in files:
        values = _in_json(seen) if each.path.endswith(".json") else seen
        try:
            content = _with_basic(each.content, seen)
            yield replace(each, content=_filled(content, values))
        except _MissingError:
            continue


def _claims(provider: Provider, known: Mapping[str, str]) -> str:
    """Return the claims with what is known; what isn't is empty."""
    return _NAME.sub(lambda found: _in_json(known).get(found[1], ""), provider.claims)


def _in_json(values: Mapping[str, str]) -> dict[str, str]:
    """Escape values for the inside of strings in JSON."""
    return {name: json.dumps(value)[1:-1] for name, value in values.items()}


def _host(template: str, known: Mapping[str, str]) -> str:
    for name in _NAME.findall(template):
        check_host(known.get(name, ""))
    return _filled(template, known)


def _with_basic(template: str, values: Mapping[str, str]) -> str:
    """Replace `{basic:USER:PASSWORD}` by their form in Basic authentication (RFC 7617)."""

    def encoded(found: re.Match[str]) -> str:
        return base64.b64encode(_filled(found[1], values).encode()).decode()

    return _BASIC.sub(encoded, template)


def _filled(template: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise _MissingError(found[1])
        return values[found[1]]

    return _NAME.sub(value, template)


def _refresh(known: Mapping[str, str], fields: Collection[str]) -> Refresh | None:
    if "refresh_token" not in fields or "token_url" not in known:
        return None
    return Refresh(
        token_url=known["token_url"],
        client_id=known.get("client_id", ""),
        client_secret=known.get("client_secret", ""),
        json_body=known.get("token_format") == "json",
    )

"""A request's copy with the credentials of the grants that it uses. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from moat.egress.authorization import places, sigv4
from moat.egress.authorization.echo import CODINGS
from moat.egress.http.messages import NO_BODY, RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moat.egress.authorization.choice import Use
    from moat.egress.traffic.entry import Fields
    from moat.spec.grants import Grant, Injection


class Outgoing(NamedTuple):
    """A request as it goes upstream."""

    request: RequestHead
    target: str
    host: bytes = b""
    """The server, in the form of the Host field."""
    body: bytes | None = None
    """The whole body, where it is needed before the head can be sent."""


def needs_body(use: Use, request: RequestHead) -> bool:
    """Tell whether the grant's secret comes into the body, or depends on it."""
    return any(
        (each.kind == "body" and request.framing != NO_BODY)
        or (each.kind == "sigv4" and sigv4.needs_body(request))
        for each in use.injections
    )


def with_credential(outgoing: Outgoing, use: Use, secrets: Mapping[str, str]) -> Outgoing:
    """Return a request with the secrets of one grant. Raises `UnusableCredentialError`."""
    request, target, host, body = outgoing
    request = request.copy()
    for injection in use.injections:
        match injection.kind:
            case "header" | "basic":
                replace = _replacement(use.grant, secrets) if injection.replace else None
                request.fields = _with_field(request.fields, injection, secrets, replace)
            case "query" if not injection.replace:
                value = places.filled(injection.value, secrets)
                target = places.with_parameter(target, injection.name, value)
            case "query":
                replace = _in_url(use.grant, secrets)
                target = places.with_replaced_parameter(target, injection.name, replace)
            case "path":
                path, mark, query = target.partition("?")
                target = _in_url(use.grant, secrets)(path) + mark + query
            case "body":
                if body is not None:
                    body = _in_body(request.fields, use, secrets, body)
                    request.framing = len(body)
            case "sigv4":
                request.fields = sigv4.signed(request, target, host, body or b"", secrets)
    return Outgoing(request, target, host, body)


def _in_body(fields: Fields, use: Use, secrets: Mapping[str, str], body: bytes) -> bytes:
    """Put the secrets in the place of the placeholders, escaped as the body's format wants it."""
    grant = use.grant
    if b"".join(places.values_of(fields, b"content-encoding")).lower() not in {b"", b"identity"}:
        raise places.UnusableCredentialError("the body is coded, and the secret belongs into it")
    kind = b"".join(places.values_of(fields, b"content-type")).lower()
    if b"x-www-form-urlencoded" in kind:
        replace = _replacement(
            grant, {name: quote(text, safe="") for name, text in secrets.items()}
        )
    else:
        escaped = {name: json.dumps(text)[1:-1] for name, text in secrets.items()}
        replace = _replacement(grant, escaped)
    # Latin-1 has a character for every byte, so nothing else changes.
    text = body.decode("latin-1")
    alone = all(each.kind == "body" for each in use.injections)
    if alone and not places.mentions((text,), grant.placeholders.values()):
        raise places.UnusableCredentialError(
            "its placeholder isn't in the body, which may have another credential"
        )
    return replace(text).encode("latin-1")


def ask_for_readable_response(request: RequestHead) -> None:
    """Have the server answer in a coding in which a credential can be looked for.

    `request`: a copy, which is changed.
    """
    request.fields = [
        (name, _readable(value) if name.lower() == b"accept-encoding" else value)
        for name, value in request.fields
        # Compression of the messages of a WebSocket (RFC 7692).
        if name.lower() != b"sec-websocket-extensions"
    ]


def _readable(accepted: bytes) -> bytes:
    kept = [
        member.strip()
        for member in accepted.split(b",")
        if member.partition(b";")[0].strip().lower() in {*CODINGS, b"identity"}
    ]
    return b", ".join(kept) or b"identity"


def _with_field(
    fields: Fields,
    injection: Injection,
    secrets: Mapping[str, str],
    replace: Callable[[str], str] | None,
) -> Fields:
    name = b"Authorization" if injection.kind == "basic" else injection.name.encode("ascii")
    plain = places.plain_name(name)
    if replace is None:
        value = places.filled(injection.value, secrets)
        made = places.basic(value) if injection.kind == "basic" else value.encode()
        return [*places.without_field(fields, plain), (name, made)]
    return [
        (each, _replaced(value, replace) if places.plain_name(each) == plain else value)
        for each, value in fields
    ]


def _replaced(value: bytes, replace: Callable[[str], str]) -> bytes:
    userinfo = places.userinfo_of(value)
    if userinfo is not None:
        return places.basic(replace(userinfo))
    return replace(value.decode("latin-1")).encode("latin-1", "strict")


def _replacement(grant: Grant, secrets: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that puts the secrets in the place of a grant's placeholders."""
    pairs = [
        (placeholder, places.filled(f"{{{name}}}", secrets))
        for name, placeholder in grant.placeholders.items()
    ]

    def replace(text: str) -> str:
        for placeholder, secret in pairs:
            text = text.replace(placeholder, secret)
        return text

    return replace


def _in_url(grant: Grant, secrets: Mapping[str, str]) -> Callable[[str], str]:
    """Return the same function for a URL, in which a secret is escaped; `:` stands for itself."""
    return _replacement(grant, {name: quote(text, safe=":") for name, text in secrets.items()})

"""Places of credentials in requests: header fields, Basic authentication, queries and paths. Pure."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moat.egress.traffic.entry import Fields

_FIELD: Final = re.compile(r"\{([a-z_]+)\}")
_BASIC: Final = re.compile(rb"basic +([A-Za-z0-9+/=_-]+)", re.IGNORECASE)
_URL_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
# Fields in which services take a key. One beside the injected credential might win over it.
CREDENTIAL_FIELDS: Final = frozenset(
    (
        *(b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-auth-token"),
        *(b"private-token", b"job-token", b"deploy-token", b"x-access-token", b"x-token"),
        *(b"x-github-token", b"x-amz-security-token", b"dd-api-key", b"dd-application-key"),
        b"x-vault-token",
    )
)
CREDENTIAL_PARAMETERS: Final = frozenset(
    (
        *("key", "api_key", "apikey", "api-key", "access_token", "accesstoken", "token"),
        *("auth_token", "private_token", "job_token", "oauth_token", "client_secret"),
        *("x-amz-security-token", "x-amz-signature", "x-amz-credential"),
    )
)


class UnusableCredentialError(ValueError):
    """A credential lacks a field that its grant needs, or has one that no request can carry."""


def filled(template: str, secrets: Mapping[str, str]) -> str:
    """Put the fields of a credential into a template. Raises `UnusableCredentialError`."""

    def value(found: re.Match[str]) -> str:
        secret = secrets.get(found[1])
        if secret is None:
            raise UnusableCredentialError(f"the credential has no {found[1]}")
        return secret

    text = _FIELD.sub(value, template)
    if not text.isprintable():
        raise UnusableCredentialError("the credential has a character that no request can carry")
    return text


def basic(userinfo: str) -> bytes:
    """Return the value of an Authorization field for `USER:PASSWORD` (RFC 7617)."""
    return b"Basic " + base64.b64encode(userinfo.encode())


def userinfo_of(value: bytes) -> str | None:
    """Return the `USER:PASSWORD` in the value of an Authorization field; `None` where it has none."""
    found = _BASIC.fullmatch(value.strip())
    if found is None:
        return None
    # In either alphabet, with or without padding: servers take them all.
    text = found[1].rstrip(b"=").translate(_URL_ALPHABET)
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4)).decode()
    except ValueError:
        return None


def plain_name(name: bytes) -> bytes:
    """Return the name by which servers know a field: some take `_` for `-` (RFC 3875 4.1.18)."""
    return name.lower().replace(b"_", b"-")


def values_of(fields: Fields, name: bytes) -> list[bytes]:
    """Return the values of all fields that a server may know by a plain name."""
    return [value for each, value in fields if plain_name(each) == name]


def without_field(fields: Fields, name: bytes) -> Fields:
    """Return the fields without those that a server may know by a plain name."""
    return [each for each in fields if plain_name(each[0]) != name]


def parameters(target: str) -> list[tuple[str, str]]:
    """Return the decoded names of a query's parameters, each with its text as it was sent."""
    _, _, query = target.partition("?")
    # Some servers take `;` for `&`.
    texts = re.split(r"[&;]", query) if query else []
    return [(unquote_plus(text.partition("=")[0]).lower(), text) for text in texts]


def with_parameter(target: str, name: str, value: str) -> str:
    """Return a target whose query has this parameter, in place of any of the same name."""
    path = target.partition("?")[0]
    kept = [text for each, text in parameters(target) if each != name.lower()]
    made = f"{quote(name, safe='')}={quote(value, safe='')}"
    return f"{path}?{'&'.join((*kept, made))}"


def with_replaced_parameter(target: str, name: str, replace: Callable[[str], str]) -> str:
    """Return a target in which the values of this parameter are replaced, as they were sent."""
    path, mark, query = target.partition("?")
    texts = re.split(r"([&;])", query)
    for at, text in enumerate(texts):
        sent, equals, value = text.partition("=")
        if unquote_plus(sent).lower() == name.lower():
            texts[at] = sent + equals + replace(value)
    return path + mark + "".join(texts)


def mentions(texts: Iterable[str], placeholders: Iterable[str]) -> bool:
    """Tell whether one of the placeholders stands in one of the texts."""
    known = tuple(placeholders)
    return any(each in text for text in texts for each in known)

"""The question to the provider whether it accepts a credential, and what its answer means."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from moat.credentials.obtaining import http
from moat.credentials.obtaining.pointers import texts_at
from moat.errors import MoatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.credentials.obtaining.obtained import Obtained
    from moat.providers.recipe import Recipe, Validation

_SKEW_S: Final = 300.0
"""Providers accept clocks that are so far off, and most of them more."""
_ANYWAY: Final = "--no-validate keeps it unseen"


class CredentialRefusedError(MoatError):
    """The provider doesn't accept the credential, or it can't be used as it is."""

    code = "credential_refused"


def check_form(recipe: Recipe, obtained: Obtained) -> None:
    """Raise `CredentialRefusedError` for what can't be a credential of this provider."""
    typed = {each.name: each for each in recipe.typed}
    missing = [
        each.label or each.name
        for each in recipe.typed
        if each.secret and not each.optional and each.name not in obtained.fields
    ]
    if missing and obtained.source in {"prompt", "stdin"}:
        raise CredentialRefusedError(f"the {missing[0]} is missing", None)
    for each in recipe.typed:
        if not each.secret and not each.optional and not obtained.attributes.get(each.name):
            variables = " or ".join(recipe.attribute_variables.get(each.name, ()))
            hint = f"Set {variables}, or type it" if variables else "Type it, with --from prompt"
            if obtained.source == "stdin":
                hint = f'Give JSON that has "{each.name}", too'
            raise CredentialRefusedError(
                f"the {each.label or each.name} is missing beside what {obtained.origin} has", hint
            )
    for name, value in obtained.fields.items():
        multiline = name in typed and typed[name].multiline
        allowed = value.replace("\n", "").replace("\r", "") if multiline else value
        if not allowed.isprintable():
            # In a header it would begin another one.
            raise CredentialRefusedError(
                f"the {name} from {obtained.origin} has line breaks or control characters in it",
                "Give it without them",
            )


def validated(
    recipe: Recipe,
    obtained: Obtained,
    now: float | None = None,
    *,
    way: http.Way = http.OF_ENVIRONMENT,
) -> Obtained:
    """Ask the provider; return the credential with what it has told, such as the account.

    Raises `CredentialRefusedError`, and `http.UnreachableError`.
    """
    now = time.time() if now is None else now
    validation = recipe.validation
    renewable = "refresh_token" in obtained.fields
    if obtained.expires_at is not None and obtained.expires_at <= now and not renewable:
        raise CredentialRefusedError(
            f"the {recipe.title} credential from {obtained.origin} has expired {_ago(now, obtained)}",
            "Log in there anew, or give another one with --from",
        )
    if validation is None or (obtained.expires_at or now + 1) <= now:
        return obtained  # an expired access token tells nothing about its refresh token
    headers = {name: _filled(text, obtained) for name, text in validation.headers.items()}
    body = _filled(validation.body, obtained).encode() if validation.body else None
    url = _filled(validation.url, obtained)
    try:
        answer = http.request(validation.method, url, headers, body, way=way)
    except http.UnreachableError as exc:
        raise http.UnreachableError(exc.summary, f"{exc.hint}; {_ANYWAY}") from None
    if not 200 <= answer.status < 300:
        raise _refused(recipe, obtained, answer, now)
    attributes = texts_at(answer.json(), validation.attributes)
    scopes = answer.headers.get(validation.scopes_header) if validation.scopes_header else None
    if scopes is not None:
        attributes["scopes"] = " ".join(scopes.replace(",", " ").split())
        _check_scopes(recipe, validation, attributes["scopes"])
    return replace(obtained, attributes={**obtained.attributes, **attributes})


def _check_scopes(recipe: Recipe, validation: Validation, scopes: str) -> None:
    missing = [each for each in validation.scopes if each not in scopes.split()]
    if missing:
        raise CredentialRefusedError(
            f"the {recipe.title} credential lacks the scope {', '.join(missing)}",
            f"Make one that has it: {recipe.help}; {_ANYWAY}" if recipe.help else _ANYWAY,
        )


def _refused(
    recipe: Recipe, obtained: Obtained, answer: http.Answer, now: float
) -> CredentialRefusedError:
    which = f"the credential from {obtained.origin}"
    skew = _skew(answer, now)
    if skew is not None:
        return CredentialRefusedError(
            f"{recipe.title} refuses {which}, and this machine's clock is {skew}",
            "Set the clock, and try again",
        )
    if answer.status == 401:
        return CredentialRefusedError(
            f"{recipe.title} refuses {which} ({answer.status}): "
            "it has expired, was revoked, or is mistyped",
            f"Make a new one: {recipe.help}" if recipe.help else "Log in anew, or give another one",
        )
    if answer.status == 403:
        return CredentialRefusedError(
            f"{recipe.title} knows {which} and doesn't allow it even the test ({answer.status})",
            f"Give it more scopes, or see whether your organization must approve it; {_ANYWAY}",
        )
    if answer.status in {400, 404, 422}:
        return CredentialRefusedError(
            f"{recipe.title} can't use {which} ({answer.status}): it may be of another kind",
            _ANYWAY,
        )
    return CredentialRefusedError(
        f"{recipe.title} could not say whether {which} works ({answer.status})",
        f"Try again later; {_ANYWAY}",
    )


def _skew(answer: http.Answer, now: float) -> str | None:
    """Say how far the clock is off, judged by the answer; `None` if it is right enough."""
    date = answer.headers.get("Date")
    try:
        theirs = parsedate_to_datetime(date).timestamp() if date else now
    except ValueError:
        return None
    if abs(now - theirs) <= _SKEW_S:
        return None
    minutes = int(abs(now - theirs) // 60)
    return f"{minutes} minutes {'ahead' if now > theirs else 'behind'}"


def _ago(now: float, obtained: Obtained) -> str:
    minutes = int((now - (obtained.expires_at or now)) // 60)
    if minutes < 120:
        return f"{minutes} minutes ago"
    return f"{minutes // 60} hours ago" if minutes < 2880 else f"{minutes // 1440} days ago"


def _filled(text: str, obtained: Obtained) -> str:
    """Put fields and attributes into `{name}`, and into `{basic:USER:PASSWORD}`."""
    values: Mapping[str, str] = {**obtained.attributes, **obtained.fields}

    def put(template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], ""), template)

    def basic(match: re.Match[str]) -> str:
        return base64.b64encode(put(match[1]).encode()).decode()

    return put(re.sub(r"\{basic:((?:[^{}]|\{\w+\})*)\}", basic, text))

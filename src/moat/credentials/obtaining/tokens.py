"""OAuth 2.0 in messages: what is asked of a token endpoint, and what it answers. Pure.

RFC 6749 (the framework), RFC 7636 (PKCE), RFC 8628 (device code).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moat.credentials.obtaining.pointers import expiry_of_jwt
from moat.errors import MoatError
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.providers.recipe import OAuth


_TOKEN: Final = re.compile(r"[\x20-\x7e]{1,65536}")
"""RFC 6749 A.12, with a bound: what goes into a header field."""
_LONGEST_S: Final = 10_000_000_000
"""Three centuries: more than that is no lifetime."""
# RFC 6749 5.2, RFC 8707 2, OpenID Connect Core 3.1.2.6.
_ERROR_CODES: Final = frozenset(
    (
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
        *("unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied"),
        *("server_error", "temporarily_unavailable", "slow_down", "expired_token"),
        *("interaction_required", "login_required", "consent_required"),
    )
)


class AuthorizationError(MoatError):
    """The provider, or the user there, has refused."""

    code = "authorization"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The yield of a token endpoint."""

    fields: Mapping[str, str] = field(repr=False)
    expires_at: float | None
    scopes: str


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a code verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def encoded(client: OAuth, parameters: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a request to the token endpoint."""
    sent = {"client_id": client.client_id, **parameters}
    if client.client_secret:
        sent["client_secret"] = client.client_secret
    # Without `Accept`, GitHub answers with a form.
    if client.json_body:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return headers, json.dumps(sent).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    return headers, urlencode(sent).encode()


def tokens_in(answer: Mapping[str, Any], now: float, *, quoted: bool = True) -> Tokens:
    """Read a successful answer. Raises `AuthorizationError`, which quotes no token.

    `quoted`: an error has the provider's own words. They are for the user alone: a provider may repeat
    in them what it was sent.
    """
    access = answer.get("access_token")
    if not isinstance(access, str) or not access:
        raise refusal(answer) if quoted else _refusal_by_code(answer)
    fields = {"token": access}
    for name in ("refresh_token", "id_token"):
        value = answer.get(name)
        if isinstance(value, str) and value:
            fields[name] = value
    if not all(_TOKEN.fullmatch(each) for each in fields.values()):
        raise AuthorizationError("the provider gives a token that no request can carry", None)
    lifetime = _seconds(answer.get("expires_in"))
    expires_at = expiry_of_jwt(access) if lifetime is None else now + lifetime
    scopes = answer.get("scope")
    return Tokens(fields, expires_at, scopes if isinstance(scopes, str) else "")


def refusal(answer: Mapping[str, Any]) -> AuthorizationError:
    """Return the error for an answer that holds no token (RFC 6749, 5.2)."""
    code, text = answer.get("error"), answer.get("error_description")
    known = [each for each in (code, text) if isinstance(each, str) and each]
    reason = without_controls(": ".join(known))[:300] or "the answer holds no token"
    return AuthorizationError(f"the provider refuses: {reason}", "Try again, or another --from")


def _refusal_by_code(answer: Mapping[str, Any]) -> AuthorizationError:
    code = answer.get("error")
    reason = code if code in _ERROR_CODES else "the answer holds no token"
    return AuthorizationError(f"the provider refuses: {reason}", None)


def _seconds(value: object) -> float | None:
    """Read a lifetime, which some providers give as text; none or an endless one is no lifetime."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(_LONGEST_S)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 1 <= value <= _LONGEST_S else None

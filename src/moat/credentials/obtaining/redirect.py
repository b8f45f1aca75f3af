"""The authorization code flow in messages: the request, and the redirect that answers it. Pure.

RFC 6749 (4.1), RFC 7636 (PKCE), RFC 8252 (programs on users' machines), RFC 9207 (who answers).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from moat.credentials.obtaining.tokens import challenge_of, refusal

if TYPE_CHECKING:
    from moat.providers.recipe import OAuth


class StrayRequestError(ValueError):
    """A request to the redirect's address that isn't the answer to ours."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One authorization, from the request to the code."""

    client: OAuth
    redirect_uri: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def url(self) -> str:
        """The page on which the user agrees."""
        parameters = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.client.scopes),
            "state": self.state,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **self.client.parameters,
        }
        separator = "&" if "?" in self.client.authorize_url else "?"
        return f"{self.client.authorize_url}{separator}{urlencode(parameters)}"

    def code_in(self, target: str) -> str:
        """Return the code in the target of the redirect, or in its whole URL.

        Raises `StrayRequestError` for what is no answer to our request, and `AuthorizationError` if the
        user or the provider has refused.
        """
        parts = urlsplit(target.strip())
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != self.client.redirect_path:
            raise StrayRequestError("another path")
        if not hmac.compare_digest(given.get("state", "").encode(), self.state.encode()):
            raise StrayRequestError("another state")
        if "code" not in given:
            raise refusal(given)
        return given["code"]

    def exchange(self, code: str) -> dict[str, str]:
        """Return the parameters with which the token endpoint gives tokens for the code."""
        parameters = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        # Anthropic's endpoint wants it, too; it is no standard.
        return parameters | ({"state": self.state} if self.client.json_body else {})

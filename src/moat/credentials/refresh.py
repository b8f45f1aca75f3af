"""The renewal of a credential by its refresh token (RFC 6749 6)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from moat.credentials.obtaining import http
from moat.credentials.obtaining.tokens import encoded, tokens_in
from moat.providers.recipe import OAuth

if TYPE_CHECKING:
    from moat.credentials.credential import Credential
    from moat.spec.grants import Refresh


def renewed(
    credential: Credential, client: Refresh, *, way: http.Way = http.OF_ENVIRONMENT
) -> Credential:
    """Ask the provider for new tokens. Raises `AuthorizationError` or `http.UnreachableError`.

    The provider may take the old refresh token no more, so whoever calls holds the vault's lock for the
    credential, and saves what is returned.
    """
    parameters = {
        "grant_type": "refresh_token",
        "refresh_token": credential.fields["refresh_token"],
    }
    oauth = OAuth(
        client_id=client.client_id,
        client_secret=client.client_secret,
        token_url=client.token_url,
        json_body=client.json_body,
    )
    headers, body = encoded(oauth, parameters)
    answer = http.request("POST", client.token_url, headers, body, way=way).json()
    # The error reaches the run whose request it was, and its record.
    tokens = tokens_in(answer, time.time(), quoted=False)
    return replace(
        credential,
        # A provider that gives no new refresh token keeps the old one valid.
        fields={**credential.fields, **tokens.fields},
        expires_at=tokens.expires_at,
    )

"""The device flow (RFC 8628): the user confirms a short code in any browser."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from moat.credentials.obtaining import http
from moat.credentials.obtaining.obtained import Obtained
from moat.credentials.obtaining.tokens import (
    AuthorizationError,
    encoded,
    refusal,
    tokens_in,
)
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.providers.recipe import OAuth

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER_S: Final = 5.0
"""Added to the interval when the provider says `slow_down` (RFC 8628, 3.5)."""
_MAX_S: Final = 1800.0
_LEAST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Invitation:
    """The message to the user."""

    url: str
    code: str


def authorize(
    client: OAuth,
    tell: Callable[[Invitation], None],
    *,
    pause: Callable[[float], object] | None = None,
    way: http.Way = http.OF_ENVIRONMENT,
) -> Obtained:
    """Have the user confirm a code, and return the tokens. Raises `AuthorizationError`.

    The protocol has the client ask again and again, with pauses that the provider sets; `pause` waits.
    """
    wait = Event().wait if pause is None else pause
    headers, body = encoded(client, {"scope": " ".join(client.scopes)})
    answer = http.request("POST", client.device_url, headers, body, way=way).json()
    invitation, device_code = _invitation(answer)
    tell(invitation)
    # A provider that sets no pause is not asked without end all the same.
    interval = max(_LEAST_PAUSE_S, _seconds(answer, "interval", 5.0))
    left = _seconds(answer, "expires_in", 900.0)
    while left > 0:
        wait(interval)
        left -= interval
        headers, body = encoded(client, {"grant_type": _GRANT, "device_code": device_code})
        answer = http.request("POST", client.token_url, headers, body, way=way).json()
        match answer.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                interval = max(interval + _SLOWER_S, _seconds(answer, "interval", 0.0))
            case _:
                tokens = tokens_in(answer, time.time())
                return Obtained(
                    fields=tokens.fields,
                    source="device",
                    origin=f"the code at {invitation.url}",
                    attributes={"scopes": tokens.scopes} if tokens.scopes else {},
                    expires_at=tokens.expires_at,
                )
    raise AuthorizationError("nobody has confirmed the code in time", "Try again")


def _invitation(answer: dict[str, Any]) -> tuple[Invitation, str]:
    url = answer.get("verification_uri") or answer.get("verification_url")
    code, device_code = answer.get("user_code"), answer.get("device_code")
    if not (isinstance(url, str) and isinstance(code, str) and isinstance(device_code, str)):
        raise refusal(answer)
    if not url.startswith("https://"):
        raise UsageError("the provider names a page without TLS to confirm the code", None)
    return Invitation(url, code), device_code


def _seconds(answer: dict[str, Any], name: str, default: float) -> float:
    value = answer.get(name)
    return min(float(value), _MAX_S) if isinstance(value, int | float) and value >= 0 else default

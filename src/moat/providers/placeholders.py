"""Placeholders: what the sandbox sees in place of secrets. Pure but for the dice.

SDKs and command-line tools look at a credential before they send it. So a placeholder has the shape of
the real one: literal text, and random characters such as `{alnum:36}`. Each run has its own, so that one
is of no use elsewhere, and two grants for one host can be told apart.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALPHABETS: Final[Mapping[str, str]] = {
    "alnum": string.ascii_letters + string.digits,
    "lower": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "base32": string.ascii_uppercase + "234567",
    "digits": string.digits,
    "hex": "0123456789abcdef",
}
_PART: Final = re.compile(r"\{([a-z0-9]+)(?::([0-9]{1,4}))?\}")
_LEAST_BITS: Final = 64
"""Fewer random bits might stand somewhere by chance."""
DEFAULT: Final = "moat-{alnum:32}"


def check_shape(shape: str) -> None:
    """Raise `ValueError` for text that isn't a shape, or that leaves too little to chance."""
    bits = 0.0
    for kind, length in _PART.findall(shape):
        if kind in {"jwt", "uuid"} and not length:
            bits += 122
        elif kind in _ALPHABETS and length:
            bits += int(length) * (len(_ALPHABETS[kind]).bit_length() - 1)
        else:
            known = ", ".join(f"{{{each}:N}}" for each in _ALPHABETS)
            raise ValueError(f"{{{kind}}} is not known; there are {known}, {{uuid}} and {{jwt}}")
    if re.search(r"[{}]", _PART.sub("", shape)):
        raise ValueError(f"{shape!r} has a brace that begins nothing known")
    if not shape.isascii() or not shape.isprintable() or " " in shape:
        raise ValueError(f"{shape!r} has characters that no credential has")
    if bits < _LEAST_BITS:
        raise ValueError(f"{shape!r} has too few random characters: at least {_LEAST_BITS} bits")


def placeholder(shape: str, claims: str = "") -> str:
    """Return a new placeholder; `claims`: JSON, for the part `{jwt}`."""

    def part(found: re.Match[str]) -> str:
        kind, length = found[1], found[2]
        if kind == "jwt":
            return _token(claims)
        if kind == "uuid":
            digits = secrets.token_hex(16)
            return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        return "".join(secrets.choice(_ALPHABETS[kind]) for _ in range(int(length)))

    return _PART.sub(part, shape)


def _token(claims: str) -> str:
    """Return a JSON Web Token (RFC 7519) with these claims, and a signature that means nothing."""
    parts = [
        json.dumps({"alg": "RS256", "typ": "JWT"}),
        json.dumps(json.loads(claims or "{}") | {"jti": secrets.token_hex(8)}),
    ]
    encoded = [base64.urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in parts]
    return ".".join((*encoded, secrets.token_urlsafe(96)))

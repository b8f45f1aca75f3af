"""`audit` in the user's settings: the witnesses of audit logs."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from moat.config.fields import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIND: Final = b"\x04"
"""Cosignatures with Ed25519 (c2sp.org/tlog-cosignature)."""
_MOST: Final = 8


class WitnessSetting(NamedTuple):
    """A witness of the settings."""

    url: str
    """The submission prefix, without a slash at its end."""
    key: str
    """Its verifier key, which `audit.proofs.Witness` parses."""


def witnesses(section: Mapping[str, Any]) -> tuple[WitnessSetting, ...]:
    """Return the witnesses of a checked section. Raises `ValueError`."""
    found = tuple(map(_witness, section.get("witness", ())))
    if len(found) > _MOST:
        raise ValueError(f"there are more than {_MOST} witnesses")
    if len({each.key for each in found}) < len(found):
        raise ValueError("two witnesses have the same key")
    return found


def _witness(given: Mapping[str, Any]) -> WitnessSetting:
    for name in ("url", "key"):
        if name not in given:
            raise ValueError(f"a witness lacks its {name}")
    return WitnessSetting(given["url"].rstrip("/"), given["key"])


def _check_url(text: str) -> None:
    """Raise `ValueError` for what is no address of a witness."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is no https URL without a query")
    if parts.username or parts.password:
        raise ValueError("the URL of a witness has no password")
    _ = parts.port


def _check_key(text: str) -> None:
    """Raise `ValueError` for what is no verifier key of a witness (c2sp.org/signed-note)."""
    name, number, encoded = (*text.split("+", 2), "", "")[:3]
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    digest = hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8]
    if not name or not name.isprintable() or " " in name or len(data) < 2 or digest != number:
        raise ValueError(
            f"{text!r} is no verifier key: it looks like witness.example+1a2b3c4d+BASE64"
        )
    if data[:1] != _KIND or len(data) != 33:
        raise ValueError(f"{name} is no witness that signs with Ed25519 (a key of type 4)")


FIELD: Final = Field(
    "object",
    "The audit logs of all runs.",
    fields={
        "witness": Field(
            "objects",
            "Witnesses (c2sp.org/tlog-witness) that get the checkpoints of runs which begin later.",
            fields={
                "url": Field(
                    "string", "Address to which /add-checkpoint is appended; https.", _check_url
                ),
                "key": Field("string", "Verifier key of the witness, name+hash+key.", _check_key),
            },
            each=_witness,
        )
    },
    check=witnesses,
)

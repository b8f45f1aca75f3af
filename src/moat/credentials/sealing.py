"""AES-256-GCM, and what is done to keep keys and secrets from lying about in memory.

Keys and plaintexts are `bytearray`s while they are ours, and are overwritten after use. Python's strings
can't be: the fields of a `Credential` stay in memory until their place is used again. See
docs/credentials.md.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moat import typed_json

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def new_key() -> bytearray:
    return bytearray(os.urandom(KEY_BYTES))


def seal(key: bytearray, fields: Mapping[str, str], associated: bytes) -> bytes:
    """Encrypt secret fields under a new nonce, bound to the `associated` data."""
    plain = bytearray(json.dumps(dict(fields)).encode())
    nonce = os.urandom(_NONCE_BYTES)
    try:
        return nonce + AESGCM(key).encrypt(nonce, plain, associated)
    finally:
        wipe(plain)


def unseal(key: bytearray, sealed: bytes, associated: bytes) -> dict[str, str]:
    """Decrypt. Raises `ValueError` if key, data or associated data are not those of the sealing."""
    try:
        plain = bytearray(
            AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
        )
    except (InvalidTag, ValueError):  # a ValueError is about the length of the nonce
        raise ValueError("it is damaged, or the key is not the one it was encrypted with") from None
    try:
        return {
            name: str(each) for name, each in typed_json.object_of(json.loads(plain), "it").items()
        }
    except ValueError:
        raise ValueError("it holds no secret fields") from None  # the cause would quote a secret
    finally:
        wipe(plain)


def wipe(data: bytearray) -> None:
    """Overwrite bytes in memory."""
    data[:] = bytes(len(data))

"""A copy of all credentials in one file, encrypted with a passphrase, that any machine can read.

The first line says how the key is made from the passphrase (scrypt, RFC 7914). It is the associated data
of the rest.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from moat import typed_json
from moat.credentials.credential import Credential, VaultError
from moat.credentials.sealing import KEY_BYTES, wipe

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT: Final = "moat vault backup 1"
_COST: Final = 1 << 17
"""128 MiB and half a second, once for each guess at the passphrase."""
_MAX_COST: Final = 1 << 18
_NONCE_BYTES: Final = 12
MAX_BYTES: Final = 1 << 26


@dataclass(frozen=True, slots=True)
class _Head:
    format: str
    salt: str
    cost: int


def encode(credentials: Iterable[Credential], passphrase: str) -> bytes:
    salt = os.urandom(16)
    first = json.dumps(asdict(_Head(_FORMAT, base64.b64encode(salt).decode(), _COST))).encode()
    plain = bytearray(json.dumps([_as_json(each) for each in credentials]).encode())
    nonce = os.urandom(_NONCE_BYTES)
    try:
        sealed = nonce + AESGCM(_key(passphrase, salt, _COST)).encrypt(nonce, plain, first)
    finally:
        wipe(plain)
    return b"%b\n%b\n" % (first, base64.b64encode(sealed))


def decode(content: bytes, passphrase: str) -> list[Credential]:
    """Raise `VaultError` for another passphrase, or for what is no whole backup."""
    first, _, second = content.partition(b"\n")
    try:
        head = typed_json.read(_Head, typed_json.parse(first))
        salt, sealed = base64.b64decode(head.salt), base64.b64decode(second, validate=False)
    except (ValueError, binascii.Error):
        raise VaultError("this is no backup of a vault", "See: moat vault backup") from None
    if head.format != _FORMAT or not 1 < head.cost <= _MAX_COST or head.cost & (head.cost - 1):
        raise VaultError("this backup was made by a later version of Moat", "Update Moat")
    try:
        key = _key(passphrase, salt, head.cost)
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], first)
    except (InvalidTag, ValueError):
        raise VaultError(
            "the passphrase is wrong, or the backup is damaged", "Nothing was restored"
        ) from None
    # It is authentic, so it was written by `encode`, perhaps in a later version.
    return [typed_json.read(Credential, each, ignore_unknown=True) for each in json.loads(plain)]


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=8, p=1).derive(passphrase.encode())


def _as_json(credential: Credential) -> dict[str, object]:
    # Not `asdict`: mappings may be of kinds that it can't copy.
    return {
        "key": asdict(credential.key),
        "fields": dict(credential.fields),
        "attributes": dict(credential.attributes),
        "expires_at": credential.expires_at,
        "source": credential.source,
        "created_at": credential.created_at,
    }

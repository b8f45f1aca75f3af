r"""The file of one credential: a line of JSON that anybody may read, and a line that is encrypted. Pure.

    {"format": 1, "provider": "github", ..., "key_id": "..."}\n
    base64(nonce || ciphertext || tag)\n

The first line, byte by byte, is the associated data of the second. So provider, scope, profile and
version can't be changed, and the secret of one entry can't be passed off as another's.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from moat import typed_json
from moat.credentials.header import FORMAT, Header

if TYPE_CHECKING:
    from moat.credentials.credential import CredentialKey, Entry

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
SUFFIX: Final = ".credential"
MAX_BYTES: Final = 1 << 20
"""Bytes of a file; private keys and service accounts have a few thousand."""


@dataclass(frozen=True, slots=True)
class EntryFile:
    """The two lines of a file."""

    header: Header
    associated: bytes
    """The first line."""
    sealed: bytes


def encode(associated: bytes, sealed: bytes) -> bytes:
    """Return the content of a file."""
    return b"%b\n%b\n" % (associated, base64.b64encode(sealed))


def file_name(key: CredentialKey) -> str:
    """Return the name of the credential's file: unique, and short whatever the scope is."""
    import hashlib  # noqa: PLC0415  a listing doesn't need it

    identity = f"{key.provider}\0{key.scope}\0{key.profile}"
    return f"{key.provider}-{hashlib.sha256(identity.encode()).hexdigest()[:24]}{SUFFIX}"


def provider_of(name: str) -> str:
    """Return the provider in the name of a credential's file."""
    return name.rpartition("-")[0]


def header_line(entry: Entry, key_id: str) -> bytes:
    """Return the first line for an entry that is encrypted with the key `key_id`."""
    header = Header(
        format=FORMAT,
        provider=entry.key.provider,
        scope=entry.key.scope,
        profile=entry.key.profile,
        version=entry.version,
        source=entry.source,
        created_at=entry.created_at,
        expires_at=entry.expires_at,
        attributes=dict(entry.attributes),
        fields=entry.field_names,
        key_id=key_id,
    )
    return json.dumps(asdict(header)).encode()


def parse(content: bytes) -> EntryFile:
    """Read a file. Raises `ValueError` for a damaged one, or one of a later version of Moat."""
    if len(content) > MAX_BYTES:
        raise ValueError("it is too long")
    first, _, second = content.partition(b"\n")
    header = typed_json.read(Header, typed_json.parse(first), ignore_unknown=True)
    if header.format > FORMAT:
        raise ValueError("it was written by a later version of Moat")
    _check(header)
    try:
        sealed = base64.b64decode(second.removesuffix(b"\n"), validate=True)
    except binascii.Error as exc:
        raise ValueError("its second line is damaged") from exc
    return EntryFile(header, first, sealed)


def _check(header: Header) -> None:
    """Raise `ValueError` for what a listing couldn't show: nobody has decrypted the entry then."""
    header.entry.key.check()
    if not math.isfinite(header.expires_at or 0.0):
        raise ValueError("it has no time at which it expires")
    if not _TIME.fullmatch(header.created_at):
        raise ValueError("it has no time at which it was granted")

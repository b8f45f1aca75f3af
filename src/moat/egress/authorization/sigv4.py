"""Signing a request anew for AWS (Signature Version 4). Pure.

The client has signed with the placeholders that it knows. Its signature says for which region, service
and time, and that is kept; the keys are the credential's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from moat.egress.authorization.places import UnusableCredentialError, values_of, without_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.egress.http.messages import RequestHead
    from moat.egress.traffic.entry import Fields

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SIGNED: Final = re.compile(
    rf"{_ALGORITHM} +Credential=[^/,\s]+/(\d{{8}})/([a-z0-9-]+)/([a-zA-Z0-9._-]+)/aws4_request,"
    r" *SignedHeaders=([a-z0-9;._-]+), *Signature=[0-9a-f]{64}"
)
_DATE: Final = re.compile(r"\d{8}T\d{6}Z")
_HASH_FIELD: Final = b"x-amz-content-sha256"
_TOKEN_FIELD: Final = b"x-amz-security-token"
_CHUNKS_SIGNED: Final = re.compile(r"STREAMING-AWS4-.*")
# What proxies may change, and AWS doesn't ask to be signed.
_NOT_SIGNED: Final = frozenset(
    (
        *(b"accept-encoding", b"authorization", b"connection", b"content-length", b"expect"),
        *(b"transfer-encoding", b"user-agent", b"x-amzn-trace-id"),
    )
)
_S3: Final = frozenset(("s3", "s3-object-lambda", "s3-outposts", "s3express"))
"""Services that take a path as it is; for the others it is escaped once more."""


class _Scope(NamedTuple):
    """The scope in which a signature is valid."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return "/".join((*self, "aws4_request"))


def needs_body(request: RequestHead) -> bool:
    """Tell whether the signature covers a body of which the client doesn't tell the hash."""
    return request.framing != 0 and not values_of(request.fields, _HASH_FIELD)


def signed(
    request: RequestHead, target: str, host: bytes, body: bytes, secrets: Mapping[str, str]
) -> Fields:
    """Return the fields of a request with a signature of the credential's.

    `body` counts only where the client doesn't tell its hash. Raises `UnusableCredentialError`.
    """
    scope, names = _client_signature(request.fields)
    payload = _payload_hash(request.fields, body)
    date = _single(request.fields, b"x-amz-date")
    if not _DATE.fullmatch(date) or not date.startswith(scope.date):
        raise UnusableCredentialError("the request has no valid X-Amz-Date")
    try:
        key_id, secret = secrets["access_key_id"], secrets["secret_access_key"]
    except KeyError as exc:
        raise UnusableCredentialError(f"the credential has no {exc.args[0]}") from None
    fields = without_field(without_field(request.fields, b"authorization"), _TOKEN_FIELD)
    if secrets.get("session_token"):
        fields = [*fields, (_TOKEN_FIELD, secrets["session_token"].encode())]
        names.add(_TOKEN_FIELD)
    headers = _canonical_headers(fields, host, names)
    listed = ";".join(name for name, _ in headers)
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(target, scope.service),
            _canonical_query(target),
            *(f"{name}:{value}" for name, value in headers),
            "",
            listed,
            payload,
        )
    )
    to_sign = "\n".join(
        (_ALGORITHM, date, str(scope), hashlib.sha256(canonical.encode()).hexdigest())
    )
    signature = hmac.new(_key(secret, scope), to_sign.encode(), hashlib.sha256).hexdigest()
    value = (
        f"{_ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return [*fields, (b"Authorization", value.encode())]


def _client_signature(fields: Fields) -> tuple[_Scope, set[bytes]]:
    found = _SIGNED.fullmatch(_single(fields, b"authorization"))
    if found is None:
        raise UnusableCredentialError(f"the request isn't signed with {_ALGORITHM}")
    names = {name.encode() for name in found[4].split(";")}
    return _Scope(found[1], found[2], found[3]), names - _NOT_SIGNED - {_TOKEN_FIELD}


def _payload_hash(fields: Fields, body: bytes) -> str:
    told = values_of(fields, _HASH_FIELD)
    if not told:
        return hashlib.sha256(body).hexdigest()
    value = _single(fields, _HASH_FIELD)
    if _CHUNKS_SIGNED.fullmatch(value):
        raise UnusableCredentialError(f"bodies whose chunks are signed ({value}) are not supported")
    return value


def _single(fields: Fields, name: bytes) -> str:
    values = values_of(fields, name)
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _canonical_headers(fields: Fields, host: bytes, names: set[bytes]) -> list[tuple[str, str]]:
    """Return the signed fields in their order: those that the client signed and we send, and `Host`."""
    found: dict[str, list[str]] = {"host": [host.decode("ascii")]}
    for name, value in fields:
        lower = name.lower()
        if lower in names and lower != b"host":
            text = " ".join(value.decode("latin-1").split())
            found.setdefault(lower.decode("ascii"), []).append(text)
    return sorted((name, ",".join(values)) for name, values in found.items())


def _canonical_path(target: str, service: str) -> str:
    path = target.partition("?")[0]
    return path if service in _S3 else quote(_without_dots(path), safe="/~")


def _without_dots(path: str) -> str:
    """Resolve dot segments and empty segments, as AWS does (RFC 3986 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    slash = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{slash}"


def _canonical_query(target: str) -> str:
    query = target.partition("?")[2]
    pairs = [each.partition("=") for each in query.split("&")] if query else []
    return "&".join(
        f"{name}={value}" for name, _, value in sorted((p[0], "=", p[2]) for p in pairs)
    )


def _key(secret: str, scope: _Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key

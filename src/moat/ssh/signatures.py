"""Keys and signatures in SSH's forms: Ed25519, ECDSA, and RSA with SHA-2. Pure.

Others are refused, above all `ssh-rsa` (RSA with SHA-1), which no server should take any more.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from moat.ssh.encoding import Reader, mpint, string

RSA_SHA2_256: Final = 2
RSA_SHA2_512: Final = 4
"""Flags of a sign request (RFC 9987 5.6.1)."""

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_PUBLIC: Final = (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey, rsa.RSAPublicKey)
_PRIVATE: Final = (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)
_RSA: Final = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}  # RFC 8332
_ECDSA: Final = {  # RFC 5656 6.2.1
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}
_SMALLEST_RSA: Final = 2048


def key_type(blob: bytes) -> str:
    """Return the name of a public key's type. Raises `ValueError`."""
    return Reader(blob).text()


def public_key(blob: bytes) -> PublicKey:
    """Parse a public key. Raises `ValueError` if it is malformed, or of a kind that is refused."""
    kind = key_type(blob)
    if not kind.isascii() or not kind.replace("-", "").isalnum():
        raise ValueError("a key without the name of its type")
    line = b"%s %s" % (kind.encode(), base64.b64encode(blob))
    try:
        key = serialization.load_ssh_public_key(line)
    except UnsupportedAlgorithm as exc:
        raise ValueError(f"keys of type {kind} are not supported") from exc
    if not isinstance(key, _PUBLIC):  # DSA, which cryptography still reads
        raise ValueError(f"keys of type {kind} are not supported")  # noqa: TRY004  the content is wrong
    return key


def private_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Parse a private key in OpenSSH's form or in PEM.

    Raises `ValueError` for one that is malformed or of a kind that is refused, and for a wrong
    passphrase; `TypeError` where a passphrase is needed and there is none.
    """
    try:
        if b"BEGIN OPENSSH PRIVATE KEY" in pem:
            key = serialization.load_ssh_private_key(pem, passphrase)
        else:
            key = serialization.load_pem_private_key(pem, passphrase)
    except UnsupportedAlgorithm as exc:
        raise ValueError("its algorithm is not supported") from exc
    if not isinstance(key, _PRIVATE):
        raise ValueError("it is neither Ed25519, ECDSA nor RSA")  # noqa: TRY004  the content is wrong
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SMALLEST_RSA:
        raise ValueError(f"it has {key.key_size} bits, and servers take {_SMALLEST_RSA} at least")
    return key


def public_blob(key: PrivateKey | PublicKey) -> bytes:
    """Return the public key as the protocol carries it. Raises `ValueError` for a nameless curve."""
    public = key if isinstance(key, _PUBLIC) else key.public_key()
    try:
        line = public.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except KeyError as exc:
        raise ValueError("its curve has no name in SSH") from exc
    return base64.b64decode(line.split()[1])


def fingerprint(blob: bytes) -> str:
    """Return a public key's fingerprint, as `ssh-keygen -l` prints it."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(blob)
    return "SHA256:" + base64.b64encode(digest.finalize()).decode().rstrip("=")


def algorithm(blob: bytes, flags: int) -> str:
    """Return the algorithm that a sign request asks for. Raises `ValueError` for RSA with SHA-1."""
    kind = key_type(blob)
    if kind != "ssh-rsa":
        return kind
    if flags & RSA_SHA2_512:
        return "rsa-sha2-512"
    if flags & RSA_SHA2_256:
        return "rsa-sha2-256"
    raise ValueError("RSA with SHA-1 is not signed any more")


def sign(key: PrivateKey, data: bytes, name: str) -> bytes:
    """Sign `data` with the algorithm of that name; return the signature as the protocol carries it."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(data)
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PKCS1v15(), _RSA[name])
    else:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_ECDSA[name])))
        signature = mpint(r) + mpint(s)
    return string(name) + string(signature)


def verifies(blob: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` is that of the public key's owner. Raises `ValueError` if malformed."""
    key = public_key(blob)
    fields = Reader(signature)
    name, content = fields.text(), fields.string()
    fields.end()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if name not in _RSA:
                raise ValueError(f"signatures by {name} are not accepted")
            key.verify(content, data, padding.PKCS1v15(), _RSA[name])
        elif name != key_type(blob):
            raise ValueError(f"a signature by {name} of another kind of key")
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(content, data)
        else:
            numbers = Reader(content)
            r, s = numbers.mpint(), numbers.mpint()
            numbers.end()
            if r < 0 or s < 0:
                raise ValueError("a signature with negative numbers")
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(_ECDSA[name]))
    except InvalidSignature:
        return False
    return True

"""PEM certificates in the user's files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.config.files import read_bounded
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# Mozilla's whole store is 220 KiB; with a company's own certificates and some tools' comments, 500.
MAX_BYTES: Final = 2 * 1024 * 1024

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_BLOCK: Final = re.compile(
    rf"{_BEGIN}\r?\n[A-Za-z0-9+/\s]+(?:=\s*){{0,2}}-----END CERTIFICATE-----", re.ASCII
)


class CertificateFile(NamedTuple):
    """A file of certificates, as it was when it was read: it may be another one by the next time."""

    path: Path
    certificates: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> CertificateFile:
        """Raise `UsageError` like `read_certificates`."""
        return cls(path, read_certificates(path))

    @property
    def pem(self) -> str:
        return to_pem(self.certificates)


def read_certificates(path: Path) -> tuple[str, ...]:
    """Return the certificates of a file, and nothing else: a key beside them stays there.

    Raises `UsageError` where there is no certificate, or a damaged one.
    """
    text = read_bounded(path, MAX_BYTES).decode("ascii", "replace")
    certificates = tuple(_BLOCK.findall(text))
    count = text.count(_BEGIN)
    if not count:
        raise UsageError(f"{path} holds no PEM certificate", f"It needs lines like {_BEGIN}")
    if len(certificates) != count or not _are_valid(certificates):
        raise UsageError(f"{path} holds a damaged certificate", f"See: openssl x509 -in {path}")
    return certificates


def to_pem(certificates: tuple[str, ...]) -> str:
    """Return the content of a file with the certificates."""
    return "".join(f"{each}\n" for each in certificates)


def fingerprint(certificate: str) -> str:
    """Return a certificate's SHA-256 fingerprint in the form of `openssl x509 -fingerprint -sha256`."""
    # Few projects have certificates, and these two take milliseconds to load.
    from base64 import b64decode  # noqa: PLC0415
    from hashlib import sha256  # noqa: PLC0415

    body = "".join(certificate.splitlines()[1:-1])
    return sha256(b64decode(body)).digest().hex(":").upper()


def without(certificates: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """Return the certificates that aren't among the others, whatever their line breaks."""
    bodies = {"".join(each.split()) for each in others}
    return tuple(each for each in certificates if "".join(each.split()) not in bodies)


def _are_valid(certificates: tuple[str, ...]) -> bool:
    # OpenSSL's own parser, because OpenSSL has to accept them later. Loaded only where there are any.
    import ssl  # noqa: PLC0415

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata="\n".join(certificates))
    except ssl.SSLError:
        return False
    return True

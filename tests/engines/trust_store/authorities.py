"""Certificate authorities as runs have them, and servers that they vouch for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from moat.egress.tls.ca import FILE, CertificateAuthority

if TYPE_CHECKING:
    from pathlib import Path


def make_authority(folder: Path) -> bytes:
    """Return the certificate of a new authority; key and certificate are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return CertificateAuthority.load_or_create(folder).certificate_pem


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def make_leaf(folder: Path) -> bytes:
    """Return key and certificate of a server on localhost, signed by the authority in `folder`."""
    pem = (folder / FILE).read_bytes()
    issuer = x509.load_pem_x509_certificate(pem)
    signer = serialization.load_pem_private_key(pem, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    # All authorities have one subject: this tells which of them.
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .add_extension(known, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return leaf.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

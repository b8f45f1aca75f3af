"""The certificate authority of one run, which its sandbox trusts and nobody else, or of the router.

The key stays in its folder on the host and in this process. The subject is the same for every run,
because its hash names a file in the sandbox's certificate folder (`engines.trust_store`).
"""

from __future__ import annotations

import errno
import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from moat.atomic import replace_file
from moat.spec.hosts import is_address

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "authority.pem"
"""The key and the certificate, mode 0600, in the folder of the authority."""
_AUTHORITY: Final = timedelta(days=3650)
"""Longer than any run lives."""
_LEAF: Final = timedelta(days=90)
_SLACK: Final = timedelta(days=1)
"""Certificates are valid from a day ago: a sandbox's clock may be behind."""
_COMMON_NAME_LIMIT: Final = 64  # ub-common-name, RFC 5280
_ALL_ADDRESSES: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Moat"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


class Purpose(NamedTuple):
    """What an authority is for."""

    subject: x509.Name
    domain: str = ""
    """The domain in which all names have to be that it certifies; empty: any name."""


RUN: Final = Purpose(_subject("Moat run authority"))
ROUTER: Final = Purpose(_subject("Moat router authority"), "localhost")


class CertificateAuthority:
    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        # One key for all leaf certificates: an attacker who could take one could take all.
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def load_or_create(cls, folder: Path, purpose: Purpose = RUN) -> Self:
        """Return the authority that is kept in a folder. Raises `OSError`, also for damage."""
        path = folder / FILE
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            key, certificate = _create(purpose)
            pem = _key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)
            replace_file(path, pem, durable=False)
            return cls(key, certificate)
        try:
            key = serialization.load_pem_private_key(pem, None)
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError as exc:  # a machine that lost power may leave an empty file
            raise OSError(errno.EILSEQ, "damaged", str(path)) from exc
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  we wrote it
        return cls(key, certificate)

    def context(self, host: str, alpn: tuple[str, ...] = ("h2", "http/1.1")) -> ssl.SSLContext:
        """Return a context with a new certificate for exactly this canonical host."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(list(alpn))
        # One ticket is enough to resume a session; each costs the handshake another record.
        context.num_tickets = 1
        leaf = self._leaf(host).public_bytes(serialization.Encoding.PEM)
        # `ssl` reads certificates from files only, so this one is in memory.
        memory = os.memfd_create("leaf", os.MFD_CLOEXEC)
        try:
            os.write(memory, _key_pem(self._leaf_key) + leaf)
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
        return context

    def _leaf(self, host: str) -> x509.Certificate:
        name = x509.IPAddress(ip_address(host)) if is_address(host) else x509.DNSName(host)
        # Without a subject, the alternative name is critical (RFC 5280 4.2.1.6).
        short = len(host) <= _COMMON_NAME_LIMIT
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if short else []
        usage = _usage(digital_signature=True)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        known = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known.value)
        return (
            _builder(
                x509.Name(subject), self._certificate.subject, self._leaf_key.public_key(), _LEAF
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=not short)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(purposes, critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _create(purpose: Purpose) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(purpose.subject, purpose.subject, public, _AUTHORITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if purpose.domain:
        limits = x509.NameConstraints(
            permitted_subtrees=[x509.DNSName(purpose.domain)],
            excluded_subtrees=[x509.IPAddress(each) for each in _ALL_ADDRESSES],
        )
        # Limits of host names say nothing of other things that a certificate may name, such as addresses
        # of mail.
        servers = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(limits, critical=True).add_extension(
            servers, critical=False
        )
    return key, builder.sign(key, hashes.SHA256())


def _usage(**purposes: bool) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(**none | purposes)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, validity: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now - _SLACK + validity)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

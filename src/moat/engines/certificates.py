"""The run's certificate authority, as the tools in the sandbox look for it.

Most of them read the system's bundle, so that becomes the host's own with one certificate more, wherever
this system keeps it. Those that bring roots of their own have a variable each. Java has its own kind
of file. The authority's key is not here, nor anywhere in the sandbox.
"""

from __future__ import annotations

import base64
import re
import struct
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.engines.mounts import Mounts

SUBJECT_HASH: Final = "d4f0d764"
"""Of the authority's subject (`openssl x509 -hash`): the file's name in a certificate folder."""

_BUNDLES: Final = tuple(
    Path(name)
    for name in (
        "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine, NixOS
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",  # openSUSE
        "/etc/ssl/cert.pem",
    )
)
_FOLDER: Final = Path("/etc/ssl/certs")
_JAVA: Final = ("/usr/lib/jvm/*/lib/security/cacerts", "/opt/*/lib/security/cacerts")

_BUNDLE: Final = "moat/certificates.pem"
_AUTHORITY: Final = "moat/authority.pem"


def variables() -> dict[str, str]:
    """For tools that look nowhere else, or look at a variable first."""
    bundle = f"/etc/{_BUNDLE}"
    return {
        "SSL_CERT_FILE": bundle,  # OpenSSL and what uses it, Go, httpx, aiohttp, uv, rustls, Ruby
        "REQUESTS_CA_BUNDLE": bundle,  # requests, which brings certifi
        "PIP_CERT": bundle,
        "CURL_CA_BUNDLE": bundle,
        "GIT_SSL_CAINFO": bundle,
        "AWS_CA_BUNDLE": bundle,  # botocore and the AWS CLI
        "CARGO_HTTP_CAINFO": bundle,
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": bundle,
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": bundle,
        "HTTPLIB2_CA_CERTS": bundle,
        "NIX_SSL_CERT_FILE": bundle,
        "DENO_CERT": f"/etc/{_AUTHORITY}",
        "NODE_EXTRA_CA_CERTS": f"/etc/{_AUTHORITY}",  # Node and Bun: added to their own
    }


def files(authority: bytes) -> dict[str, bytes]:
    """What /etc holds of it, by path."""
    bundle = host_bundle() + authority
    found = {_BUNDLE: bundle, _AUTHORITY: authority}
    for path in _BUNDLES:
        if path.exists():
            found[_below_etc(path)] = bundle
    if _FOLDER.is_dir():
        found[_below_etc(_FOLDER / f"{SUBJECT_HASH}.0")] = authority
    stores = [path for path in _java_stores() if path.is_relative_to("/etc")]
    if stores:
        store = java_store(bundle)
        found |= {_below_etc(path): store for path in stores}
    return found


def show_java_stores(
    mounts: Mounts, private: Path, authority: bytes, toolchains: Iterable[Path]
) -> None:
    """Over those of each JDK in the sandbox that has one of its own."""
    paths = [path for path in _java_stores() if not path.is_relative_to("/etc")]
    paths += [
        path for each in toolchains if (path := each / "lib/security/cacerts").resolve().is_file()
    ]
    if not paths:
        return
    store = private / "cacerts"
    store.write_bytes(java_store(host_bundle() + authority))
    for path in paths:
        mounts.read_only(store, path)


def host_bundle() -> bytes:
    """The certificates that the host's programs trust, in PEM; empty where it has none."""
    found = next((path for path in _BUNDLES if path.is_file()), None)
    return b"" if found is None else found.read_bytes().rstrip() + b"\n"


def _below_etc(path: Path) -> str:
    """Without the links that lead to it, as far as they stay in /etc."""
    real = path.resolve()
    return str((real if real.is_relative_to("/etc") else path).relative_to("/etc"))


def _java_stores() -> list[Path]:
    found = {path.resolve() for glob in _JAVA for path in Path("/").glob(glob[1:])}
    return sorted(path for path in found if path.is_file())


_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----", re.ASCII
)
_MAGIC, _FORMAT, _TRUSTED = 0xFEEDFEED, 2, 2


def java_store(bundle: bytes) -> bytes:
    """The certificates as a JKS of version 2, which every JDK reads, with its usual password.

    (sun.security.provider.JavaKeyStore.) The password is a checksum, no secret.
    """
    certificates = [base64.b64decode(match[1]) for match in _CERTIFICATE.finditer(bundle)]
    parts = [struct.pack(">III", _MAGIC, _FORMAT, len(certificates))]
    for number, certificate in enumerate(certificates):
        parts += [
            struct.pack(">I", _TRUSTED) + _utf(f"moat-{number}") + struct.pack(">Q", 0),
            _utf("X.509") + struct.pack(">I", len(certificate)) + certificate,
        ]
    store = b"".join(parts)
    salted = "changeit".encode("utf-16-be") + b"Mighty Aphrodite" + store
    return store + sha1(salted).digest()  # noqa: S324  the format's


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")

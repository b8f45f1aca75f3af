"""The run's certificate authority, in every place where tools in the sandbox look for one.

/etc/moat holds it in three forms: alone, at the end of the host's own certificates, and as Java's
kind of file. The places where the host keeps its certificates lead there, so that a program needs no
variable; those that bring certificates of their own have one. The authority's key is nowhere in
the sandbox.
"""

from __future__ import annotations

import os
from binascii import a2b_base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.etc_files import Own
from moat.engines.trust_store.java_truststore import extended, find_truststores, is_file, truststore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.engines.bubblewrap.toolchains import Toolchains

SUBJECT_HASH: Final = "d4f0d764"
"""Of the authority's subject (`openssl x509 -hash`): the file's name in a certificate folder."""

_AUTHORITY: Final = "moat/authority.pem"
_BUNDLE: Final = "moat/certificates.pem"
_TRUSTSTORE: Final = "moat/cacerts"
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine, NixOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-bundle.crt",
    "/usr/lib/ssl/cert.pem",
)
# OpenSSL's: a certificate is found by the hash of its subject.
_HASHED: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs")
# p11-kit's, for GnuTLS and NSS where the system makes them ask it (Fedora, openSUSE, Arch).
_ANCHORS: Final = (
    *("/etc/pki/ca-trust/source/anchors", "/etc/pki/trust/anchors"),
    "/etc/ca-certificates/trust-source/anchors",
)
_SUSE: Final = "/var/lib/ca-certificates/"
"""Where its places in /etc lead. The sandbox has nothing of the host's in /var."""


def variables() -> dict[str, str]:
    """For tools that bring certificates of their own, or may have been built for other places."""
    authority, bundle = f"/etc/{_AUTHORITY}", f"/etc/{_BUNDLE}"
    return {
        "SSL_CERT_FILE": bundle,  # OpenSSL and what uses it; Go, rustls, uv, httpx, Composer, Julia
        "REQUESTS_CA_BUNDLE": bundle,  # requests, and so most of Python
        "PIP_CERT": bundle,  # pip brings a requests that it configures itself
        "CURL_CA_BUNDLE": bundle,  # curl as conda and others build it; R
        "GIT_SSL_CAINFO": bundle,  # git with such a curl
        "CARGO_HTTP_CAINFO": bundle,
        "AWS_CA_BUNDLE": bundle,  # AWS CLI and SDKs
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": bundle,  # gcloud
        "HTTPLIB2_CA_CERTS": bundle,  # httplib2, and so gsutil and Google's older clients
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": bundle,  # gRPC in C++, Python, Ruby, PHP
        "HEX_CACERTS_PATH": bundle,  # Elixir's package manager
        "PERL_LWP_SSL_CA_FILE": bundle,  # LWP from CPAN, which takes Mozilla::CA's otherwise
        "NIX_SSL_CERT_FILE": bundle,  # Nix, and curl, git and Python as it builds them
        # These two trust it besides their own.
        "NODE_EXTRA_CA_CERTS": authority,  # Node, Bun, Electron; npm, yarn, pnpm
        "DENO_CERT": authority,
    }


@dataclass(frozen=True, slots=True)
class Trust:
    """What the sandbox shows so that its programs trust the run's authority."""

    settings: Own
    covers: dict[str, str]
    """What lies over the host's files outside of /etc: by their path, one of `settings`' files."""


def trust(authority: bytes, toolchains: Toolchains, java_home: str | None) -> Trust:
    """`authority`: its certificate, in PEM. `java_home`: of the command, if it has one."""
    host = _host_bundle()
    places = _places()
    files: dict[str, str | bytes] = {_AUTHORITY: authority, _BUNDLE: host + authority}
    stores = find_truststores(toolchains, java_home)
    if stores:
        places |= dict.fromkeys(stores, _TRUSTSTORE)
        files[_TRUSTSTORE] = _java_truststore(stores[0], host, authority)
    links, covers = _links_and_covers(places, toolchains)
    return Trust(Own(files, links), covers)


def _places() -> dict[str, str]:
    """Where the host keeps certificates, without links on the way, and what is to be there."""
    places = {os.path.realpath(path): _BUNDLE for path in _BUNDLES if is_file(path)}
    for folders, name in ((_HASHED, f"{SUBJECT_HASH}.0"), (_ANCHORS, "moat.pem")):
        for folder in folders:
            if os.access(folder, os.X_OK):
                places[f"{os.path.realpath(folder)}/{name}"] = _AUTHORITY
    return places


def _links_and_covers(
    places: Mapping[str, str], toolchains: Toolchains
) -> tuple[dict[str, str], dict[str, str]]:
    """Links in /etc, which is the run's to fill; elsewhere covers, on files that are shown."""
    links: dict[str, str] = {}
    covers: dict[str, str] = {}
    for path, name in places.items():
        if path.startswith("/etc/"):
            links[path.removeprefix("/etc/")] = f"/etc/{name}"
        elif path.startswith(_SUSE) or (is_file(path) and toolchains.covers(Path(path))):
            covers[path] = name
    return links, covers


def _host_bundle() -> bytes:
    """The certificates that the host's programs trust, in PEM; empty where it has none."""
    path = next(filter(_is_readable, _BUNDLES), None)
    return b"" if path is None else Path(path).read_bytes().rstrip() + b"\n"


def _java_truststore(theirs: str, bundle: bytes, authority: bytes) -> bytes:
    """What the host's Java trusts, or else its other programs, and the run's authority."""
    own = _by_alias("moat-run-authority", authority)
    if _is_readable(theirs):
        store = extended(Path(theirs).read_bytes(), own)
        if store is not None:
            return store
    return truststore(_by_alias("root", bundle) | own)


def _by_alias(prefix: str, bundle: bytes) -> dict[str, bytes]:
    """The certificates of a bundle, in DER."""
    ders = [a2b_base64(part.partition(_END)[0]) for part in bundle.split(_BEGIN)[1:]]
    return {f"{prefix}-{number}": der for number, der in enumerate(ders, 1)}


def _is_readable(path: str) -> bool:
    return is_file(path) and os.access(path, os.R_OK)

"""The run's certificate authority, in every place where a program in the sandbox looks for one.

`/etc/moat` holds the authority's certificate in three forms: alone, in a bundle, which begins with the
host's own where some TLS isn't intercepted, and in a Java truststore. The places where the host keeps
its certificates lead there, so most programs need no environment variable; those that bring
certificates of their own are given one. The authority's private key is nowhere in the sandbox.

An engine says what its sandbox shows (`VisibleSoftware`), and carries out the `TrustStore` that it gets.
"""

from __future__ import annotations

import os
from binascii import a2b_base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.trust_store.java_truststore import extend, find_truststores, is_file, truststore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.engines.trust_store.java_truststore import VisibleSoftware

SUBJECT_HASH: Final = "d4f0d764"
"""The authority's subject, hashed (`openssl x509 -hash`): its file name in a certificate folder."""

# Files of the run, relative to /etc.
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
# Certificate folders of OpenSSL, which finds a certificate by the hash of its subject.
_HASHED: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs")
# Folders of p11-kit, which GnuTLS and NSS ask on Fedora, openSUSE and Arch.
_ANCHORS: Final = (
    *("/etc/pki/ca-trust/source/anchors", "/etc/pki/trust/anchors"),
    "/etc/ca-certificates/trust-source/anchors",
)
_SUSE: Final = "/var/lib/ca-certificates/"
"""The folder that openSUSE's links in /etc lead to. The sandbox shows nothing of the host's /var."""


def variables() -> dict[str, str]:
    """Return environment variables for programs that don't look where the system keeps certificates.

    They bring certificates of their own, or may have been built for another system's paths.
    """
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
        # The programs of these two trust the file in addition to their own certificates.
        "NODE_EXTRA_CA_CERTS": authority,  # Node, Bun, Electron; npm, yarn, pnpm
        "DENO_CERT": authority,
    }


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The files, links and covers that make a sandbox trust the run's authority."""

    files: Mapping[str, str | bytes]
    """Files of the run's own, by path relative to /etc, and what they hold."""
    links: Mapping[str, str]
    """Symbolic links to those files, by path relative to /etc, and where each leads."""
    covers: Mapping[str, str]
    """The host's files outside /etc to cover, by absolute path, each with a key of `files`."""


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """A path at which programs of an image look for certificates."""

    path: str
    name: str
    """The file to show there: a key of `ImageTrust.files`."""
    beside: str
    """A path that the image must have to get the file: the file itself, or its folder."""


@dataclass(frozen=True, slots=True)
class ImageTrust:
    """The files that make the programs of some image trust the run's authority."""

    files: Mapping[str, bytes]
    """Contents of files by path relative to /etc."""
    places: tuple[ImagePlace, ...]


def for_image(authority: bytes, *, intercepts_all: bool) -> ImageTrust:
    """Return what programs of an image need that nobody has looked into; see `trust_store`.

    Where some TLS isn't intercepted, its servers are those that this machine trusts.
    """
    bundle = authority if intercepts_all else _host_bundle() + authority
    bundles = tuple(ImagePlace(path, _BUNDLE, path) for path in _BUNDLES)
    others = tuple(
        ImagePlace(f"{folder}/{name}", _AUTHORITY, folder)
        for folders, name in ((_HASHED, f"{SUBJECT_HASH}.0"), (_ANCHORS, "moat.pem"))
        for folder in folders
    )
    return ImageTrust({_AUTHORITY: authority, _BUNDLE: bundle}, bundles + others)


def trust_store(
    authority: bytes, software: VisibleSoftware, java_home: str | None, *, intercepts_all: bool
) -> TrustStore:
    """Return what a sandbox with this `software` needs in order to trust `authority`.

    `authority` is the certificate in PEM, `java_home` the command's JAVA_HOME if it has one. Where the
    proxy `intercepts_all` TLS, no other certificate is ever seen: a bundle of one is read in no time,
    and curl takes 40 ms for that of a whole system.
    """
    host = _host_bundle()
    targets = _certificate_places()
    bundle = authority if intercepts_all else host + authority
    files: dict[str, str | bytes] = {_AUTHORITY: authority, _BUNDLE: bundle}
    stores = find_truststores(software, java_home)
    if stores:
        targets |= dict.fromkeys(stores, _TRUSTSTORE)
        files[_TRUSTSTORE] = _java_truststore(stores[0], host, authority)
    links, covers = _links_and_covers(targets, software)
    return TrustStore(files, links, covers)


def _certificate_places() -> dict[str, str]:
    """Return where the host keeps certificates, by real path, and the file of ours for each."""
    places = {os.path.realpath(path): _BUNDLE for path in _BUNDLES if is_file(path)}
    for folders, name in ((_HASHED, f"{SUBJECT_HASH}.0"), (_ANCHORS, "moat.pem")):
        for folder in folders:
            if os.access(folder, os.X_OK):
                places[f"{os.path.realpath(folder)}/{name}"] = _AUTHORITY
    return places


def _links_and_covers(
    places: Mapping[str, str], software: VisibleSoftware
) -> tuple[dict[str, str], dict[str, str]]:
    """Split the places into links below /etc, which the run fills itself, and covers elsewhere."""
    links: dict[str, str] = {}
    covers: dict[str, str] = {}
    for path, name in places.items():
        if path.startswith("/etc/"):
            links[path.removeprefix("/etc/")] = f"/etc/{name}"
        elif path.startswith(_SUSE) or (is_file(path) and software.shows(Path(path))):
            covers[path] = name
    return links, covers


def _host_bundle() -> bytes:
    """Return the certificates that the host's programs trust, in PEM; empty without a bundle."""
    path = next(filter(_is_readable, _BUNDLES), None)
    return b"" if path is None else Path(path).read_bytes().rstrip() + b"\n"


def _java_truststore(host_store: str, bundle: bytes, authority: bytes) -> bytes:
    """Return the host's Java truststore, or one made of its certificate bundle, plus the authority."""
    own = _by_alias("moat-run-authority", authority)
    if _is_readable(host_store):
        store = extend(Path(host_store).read_bytes(), own)
        if store is not None:
            return store
    return truststore(_by_alias("root", bundle) | own)


def _by_alias(prefix: str, bundle: bytes) -> dict[str, bytes]:
    """Return the certificates of a PEM bundle in DER, under numbered aliases."""
    ders = [a2b_base64(part.partition(_END)[0]) for part in bundle.split(_BEGIN)[1:]]
    return {f"{prefix}-{number}": der for number, der in enumerate(ders, 1)}


def _is_readable(path: str) -> bool:
    return is_file(path) and os.access(path, os.R_OK)

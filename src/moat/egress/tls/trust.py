"""Trust in servers: the host's trust store, the user's authorities, and a project's for its hosts.

asyncio can't resume TLS sessions, so each connection is a full handshake. Connections that are kept and
used again make up for it.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from moat.spec.rules import Rule

if TYPE_CHECKING:
    from moat.spec.network import Network

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch, NixOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)
"""Trust stores for a Python whose own OpenSSL was built for another system."""

# X509_V_ERR_*, OpenSSL's x509_vfy.h: self-signed, alone (18) or at the end of the chain; no issuer.
_NOT_TRUSTED: Final = {2, 18, 19, 20, 21}
_loading = Lock()


class Authorities:
    """The authorities of a run in addition to the host's own."""

    def __init__(self, network: Network) -> None:
        self._own = network.upstream_ca
        self._with_project = network.upstream_ca + network.project_ca
        self._project_hosts = [Rule.parse(each) for each in network.project_ca_hosts]

    def of(self, host: str) -> str:
        """Return the PEM text of those that are trusted for a canonical host."""
        for rule in self._project_hosts:
            if rule.matches_host(host, None):
                return self._with_project if rule.action == "allow" else self._own
        return self._own


def upstream_context(extra_ca: str, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """Return a context that verifies the certificate and the name of a server. `extra_ca`: PEM text.

    The first call for each `alpn` reads the system's certificates, in some 25 ms: too long for the
    event loop.
    """
    with _loading:  # several threads may call at first, and one should read
        return _upstream_context(extra_ca, alpn)


@lru_cache(maxsize=8)
def _upstream_context(extra_ca: str, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        for bundle in _BUNDLES:
            if Path(bundle).exists():
                context.load_verify_locations(cafile=bundle)
                break
    if extra_ca:
        context.load_verify_locations(cadata=extra_ca)
    # As in curl, and the same under every Python (3.13 changed the defaults): a company may list the
    # intermediate authority instead of the root, and some certificates break RFC 5280.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(alpn))
    return context


def explain(error: ssl.SSLError) -> str:
    """Describe in one line why a TLS handshake with a server failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not valid here: {error.verify_message}"
        if error.verify_code not in _NOT_TRUSTED:
            return why
        return f"{why}; to trust its authority, add it to network.upstream_ca of your settings"
    if error.reason == "WRONG_VERSION_NUMBER":  # OpenSSL reads an answer in HTTP or SSH so
        return "no TLS: the server speaks something else on this port"
    return f"no TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"

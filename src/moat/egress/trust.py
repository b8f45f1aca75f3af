"""Whom the proxy believes: the host's trust store, and what `network.upstream_ca` adds to it."""

from __future__ import annotations

import ssl
from functools import lru_cache


@lru_cache(maxsize=8)
def upstream_context(extra_ca: str, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """For connections to servers: the certificate is verified, and the name. `extra_ca`: PEM text.

    The first call reads the system's certificates, which takes tens of milliseconds.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if extra_ca:
        context.load_verify_locations(cadata=extra_ca)
    context.set_alpn_protocols(list(alpn))
    return context


def explain(error: ssl.SSLError) -> str:
    """Why there is no TLS with a server, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid here: {error.verify_message}"
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return f"no TLS: {reason}"

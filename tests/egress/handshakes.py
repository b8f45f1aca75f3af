"""TLS between two contexts, without a network."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from cryptography import x509


class Ends(NamedTuple):
    client: ssl.SSLObject
    server: ssl.SSLObject

    @property
    def certificate(self) -> x509.Certificate:
        """What the client was shown."""
        der = self.client.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> Ends:
    """A whole one, and what follows it (tickets). Raises `ssl.SSLError` as the client does."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = Ends(
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return ends


def close(ends: Ends) -> None:
    """As well-behaved peers do, so that the session may be resumed."""
    for end in (ends.client, ends.server, ends.client):
        try:
            end.unwrap()
        except ssl.SSLWantReadError:
            continue


def trusting(pem: bytes) -> ssl.SSLContext:
    """A client that trusts this authority alone, as strictly as OpenSSL can."""
    context = ssl.create_default_context(cadata=pem.decode("ascii"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context

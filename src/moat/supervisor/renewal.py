"""The renewal of a run's credentials, on the way that the run's own requests take to their servers.

A supervisor's environment names no proxy and no authority: the run's specification does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moat.credentials.obtaining.http import Way
from moat.credentials.refresh import renewed
from moat.egress.upstream.parent_proxy import ParentProxy, literal

if TYPE_CHECKING:
    from moat.credentials.credential import Credential
    from moat.spec.grants import Refresh
    from moat.spec.network import Network


class Renewal:
    """Renewal of credentials by their providers."""

    def __init__(self, network: Network) -> None:
        self._url = network.upstream_proxy
        self._proxy = ParentProxy.parse(self._url, network.no_upstream_proxy) if self._url else None
        # Those of the project's file hold for no token endpoint.
        self._authorities = network.upstream_ca

    def __call__(self, credential: Credential, client: Refresh) -> Credential:
        """Raise `AuthorizationError` or `UnreachableError`."""
        return renewed(credential, client, way=self.way(client.token_url))

    def way(self, url: str) -> Way:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        proxied = self._proxy is not None and self._proxy.leads_to(host, port, literal(host))
        return Way(self._url if proxied else "", self._authorities)

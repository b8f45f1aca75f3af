"""The renewal of a run's credentials, on the way that the run's own requests take to their servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.credentials.refresh import renewed
from moat.egress.upstream.own_requests import way

if TYPE_CHECKING:
    from moat.credentials.credential import Credential
    from moat.spec.grants import Refresh
    from moat.spec.network import Network


class Renewal:
    """Renewal of credentials by their providers."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, credential: Credential, client: Refresh) -> Credential:
        """Raise `AuthorizationError` or `UnreachableError`."""
        return renewed(credential, client, way=way(self._network, client.token_url))

"""The way of Moat's own requests for a run, which is that of the run's requests to their servers.

The environment of a process in the background names no proxy and no authority: the run's specification
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moat.credentials.obtaining.http import Way
from moat.egress.upstream.parent_proxy import ParentProxy, literal

if TYPE_CHECKING:
    from moat.spec.network import Network


def way(network: Network, url: str) -> Way:
    """Return the way to a URL."""
    proxy, parts = network.upstream_proxy, urlsplit(url)
    parsed = ParentProxy.parse(proxy, network.no_upstream_proxy) if proxy else None
    host, port = parts.hostname or "", parts.port or 443
    proxied = parsed is not None and parsed.leads_to(host, port, literal(host))
    # Authorities of the project's file hold for none of them.
    return Way(proxy if proxied else "", network.upstream_ca)

"""The way of Moat's own requests for a run: renewals of credentials, submissions to witnesses."""

from __future__ import annotations

import pytest

from moat.credentials.obtaining.http import Way
from moat.egress.upstream.own_requests import way
from moat.spec.network import Network

PROXY = "http://me:secret@proxy.test:3128"
NETWORK = Network(
    upstream_proxy=PROXY,
    no_upstream_proxy="inside.test,10.0.0.0/8",
    upstream_ca="PEM",
    project_ca="of the project",
)


@pytest.mark.parametrize(
    ("host", "proxy"),
    [
        ("auth.test", PROXY),
        ("auth.inside.test:8443", ""),
        ("10.1.2.3", ""),
        ("localhost:8443", ""),
    ],
)
def test_it_is_the_way_of_the_runs_requests(host: str, proxy: str) -> None:
    """With the user's proxy and its exceptions, and the authorities of the user alone."""
    assert way(NETWORK, f"https://{host}/token") == Way(proxy, "PEM")


def test_without_a_proxy_it_is_direct() -> None:
    """Whatever the environment of this process says."""
    assert way(Network(), "https://auth.test/token") == Way()


def test_a_way_shows_no_password() -> None:
    """It may stand in a traceback."""
    assert "secret" not in repr(way(NETWORK, "https://auth.test/token"))

"""The way on which a run's credentials are renewed."""

from __future__ import annotations

import pytest

from moat.credentials.obtaining.http import Way
from moat.spec.network import Network
from moat.supervisor.renewal import Renewal

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
    assert Renewal(NETWORK).way(f"https://{host}/token") == Way(proxy, "PEM")


def test_without_a_proxy_it_is_direct() -> None:
    """Whatever the environment of this process says."""
    assert Renewal(Network()).way("https://auth.test/token") == Way()


def test_a_way_shows_no_password() -> None:
    """It may stand in a traceback."""
    assert "secret" not in repr(Renewal(NETWORK).way("https://auth.test/token"))

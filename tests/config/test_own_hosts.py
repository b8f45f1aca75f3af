"""Hosts that the user's own words name: no project decides which servers they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moat.config.certificates import CertificateFile
from moat.config.network import join_network
from moat.egress.tls.trust import Authorities
from moat.errors import UsageError

CA = {"upstream_ca": CertificateFile(Path("ca.pem"), ("PROJECT",))}
OWN = {"upstream_ca": CertificateFile(Path("own.pem"), ("OWN",))}

WAYS = [
    ({}, (), {"allow": ("api.test",)}),
    ({}, (), {"allow": ("*.test:443",)}),
    ({}, (), {"deny": ("api.test",)}),
    ({}, ("allow GET api.test/x",), {}),
    ({"rules": ["deny POST api.test/admin"]}, (), {}),
    ({"allow": ["API.test."]}, (), {}),
    ({"tcp": ["api.test:5432"]}, (), {}),
    ({"passthrough": ["api.test"]}, (), {}),
    ({"private": ["api.test"]}, (), {}),
    ({"allow": ["**"]}, (), {}),
]


@pytest.mark.parametrize(("user", "saved", "options"), WAYS)
def test_a_project_gives_no_address_to_a_host_of_the_users(
    user: dict[str, Any], saved: tuple[str, ...], options: dict[str, Any]
) -> None:
    """The user's key for that host would go to a server of the project's choice."""
    with pytest.raises(UsageError, match=r"the project gives api\.test an address") as raised:
        join_network({"hosts": {"Api.Test": "192.0.2.1"}}, user, saved, **options)
    assert "network.hosts of your settings" in str(raised.value.hint)


@pytest.mark.parametrize(("user", "saved", "options"), WAYS)
def test_a_projects_authority_vouches_for_no_host_of_the_users(
    user: dict[str, Any], saved: tuple[str, ...], options: dict[str, Any]
) -> None:
    """Not even where the project names the host as well."""
    joined = join_network({**CA, "allow": ["api.test", "**"]}, user | OWN, saved, **options)
    assert Authorities(joined).of("api.test") == "OWN\n"


def test_a_projects_authority_vouches_for_the_hosts_that_it_names() -> None:
    """A name in any of its fields counts, and a denial doesn't."""
    theirs = {
        **CA,
        "rules": ["allow GET rules.test/x", "deny denied.test"],
        "allow": ["*.allow.test"],
        "tcp": ["tcp.test:8443"],
        "hosts": {"hosts.test": "192.0.2.1"},
        "private": ["nas.lan", "fd00::/8", "10.0.0.0/8"],
    }
    of = Authorities(join_network(theirs, OWN)).of
    for host in ("rules.test", "a.allow.test", "tcp.test", "hosts.test", "nas.lan", "fd00::1"):
        assert of(host) == "OWN\nPROJECT\n"
    for host in ("denied.test", "allow.test", "api.test", "11.0.0.1"):
        assert of(host) == "OWN\n"


def test_an_authority_for_nothing_is_a_mistake() -> None:
    """The error comes before the run, and not as a failed handshake in it."""
    with pytest.raises(UsageError, match="names no host for which it is to hold"):
        join_network({**CA, "rules": ["deny a.test"]})


def test_the_users_address_wins() -> None:
    """Both may give a name an address; the user's settings are no mistake."""
    joined = join_network(
        {"hosts": {"api.test": "192.0.2.1", "free.test": "192.0.2.2"}},
        {"hosts": {"api.test": "192.0.2.9"}},
    )
    assert joined.hosts == {"api.test": "192.0.2.9", "free.test": "192.0.2.2"}


def test_to_deny_everything_names_no_host() -> None:
    """A user who ends the rules so can still run a project that has addresses."""
    joined = join_network(
        {"hosts": {"a.test": "192.0.2.1"}}, {"rules": ["allow b.test", "deny **"]}
    )
    assert joined.hosts == {"a.test": "192.0.2.1"}

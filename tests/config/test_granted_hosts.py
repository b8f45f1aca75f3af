"""Hosts of a run's grants in its network."""

from __future__ import annotations

import pytest

from moat.config.granted_hosts import check_hosts, overlap, with_grants, with_hosts
from moat.errors import UsageError
from moat.spec import Grant, Injection, Network

GRANT = Grant(
    provider="one",
    injections=(
        Injection(
            hosts=("api.example.com",), ports=(443, 8443), methods=("GET",), paths=("/v1/**",)
        ),
    ),
    hosts=("files.example.com",),
    tcp=("git.example.com:22",),
)


def test_what_gets_a_credential_is_open_and_nothing_else() -> None:
    """Under `strict`, ports, methods and paths are those of the injection."""
    network = with_grants(Network(policy="strict"), [GRANT], ())
    assert network.rules == (
        "allow GET api.example.com:443/v1/**",
        "allow GET api.example.com:8443/v1/**",
        "allow files.example.com:443",
    )
    assert network.tcp == ("git.example.com:22",)


def test_denials_of_the_user_come_first() -> None:
    """A grant opens nothing that a rule denies."""
    network = with_grants(Network(rules=("deny api.example.com",)), [GRANT], ())
    assert network.rules[0] == "deny api.example.com"


def test_without_grants_nothing_changes() -> None:
    """Most runs have none."""
    network = Network(policy="strict")
    assert with_grants(network, [], ()) is network


@pytest.mark.parametrize("host", ["api.example.com", "files.example.com", "git.example.com"])
def test_no_project_says_which_server_a_host_is(host: str) -> None:
    """The credential would go to a server of the project's choice."""
    with pytest.raises(UsageError, match=r"gives .* an address"):
        with_grants(Network(), [GRANT], [host])


def test_no_authority_of_a_project_counts_there() -> None:
    """With one, a server in the way could read the credential."""
    network = with_grants(Network(project_ca_hosts=("allow **",)), [GRANT], ())
    assert network.project_ca_hosts[0] == "deny api.example.com"
    assert network.project_ca_hosts[-1] == "allow **"


@pytest.mark.parametrize("tunnelled", ["api.example.com", "*.example.com"])
def test_a_host_that_is_passed_through_can_get_no_credential(tunnelled: str) -> None:
    """The run would begin, and its requests would fail one by one."""
    with pytest.raises(UsageError, match="doesn't see requests"):
        with_grants(Network(passthrough=(tunnelled,)), [GRANT], ())


def test_a_host_that_is_open_as_raw_tcp_can_get_no_credential() -> None:
    """Nobody would see the requests there, nor whether they have a credential of the agent's."""
    with pytest.raises(UsageError, match=r"network\.tcp has .* doesn't see requests"):
        with_grants(Network(tcp=("api.example.com:443",)), [GRANT], ())
    with_grants(Network(tcp=("api.example.com:5432", "other.example.com:443")), [GRANT], ())


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("a.com", "a.com", True),
        ("a.com", "b.com", False),
        ("*.a.com", "x.a.com", True),
        ("x.a.com", "**.com", True),
        ("*.a.com", "*.b.com", False),
        ("**.a.com", "*.x.a.com", True),
    ],
)
def test_patterns_overlap(first: str, second: str, same: bool) -> None:
    """In doubt they do: a collision is said rather than missed."""
    assert overlap(first, second) is same


def test_a_server_whose_grant_is_for_another_host_is_refused() -> None:
    """It would never get the credential that it is meant to have."""
    check_hosts([(GRANT.name, "api.example.com"), ("another", "b.test")], [GRANT])
    with pytest.raises(UsageError, match=r"is not for mcp\.test"):
        check_hosts([(GRANT.name, "mcp.test")], [GRANT])


def test_further_hosts_are_opened_behind_all_rules() -> None:
    """A rule of the user's that denies one comes first."""
    network = Network(rules=("deny api.example.com",))
    opened = with_hosts(network, ("api.example.com", "files.example.com:8443"))
    assert opened.rules == (
        "deny api.example.com",
        "allow api.example.com",
        "allow files.example.com:8443",
    )

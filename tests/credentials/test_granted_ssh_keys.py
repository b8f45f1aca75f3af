"""Grants of ssh keys, by the words of `moat run --grant`, and the network that they open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.credentials.test_ssh import HELD

from moat.config.granted_hosts import with_grants
from moat.credentials.granted import GrantedCredentials
from moat.credentials.vault import Vault
from moat.errors import GrantMissingError, UsageError
from moat.spec import Network

if TYPE_CHECKING:
    from pathlib import Path

    from moat.spec import Grant


def _granted(home: Path, *names: str) -> tuple[Grant, ...]:
    return GrantedCredentials(home, None).grants(names, "default")


def test_a_key_is_granted_by_its_host(tmp_path: Path) -> None:
    """The host may be written as users do, and twice; the grant says for which user of it."""
    Vault(tmp_path).put(HELD)
    (grant,) = _granted(tmp_path, "ssh:git.example:2222", "ssh:git@GIT.example:2222")
    assert grant.name == "ssh:git.example:2222"
    assert grant.account == "git"


def test_two_keys_go_together(tmp_path: Path) -> None:
    """Keys for two hosts have one agent and one `known_hosts`, and neither is in the other's way."""
    for host in ("git.example:2222", "b.example"):
        Vault(tmp_path).put(replace(HELD, key=replace(HELD.key, scope=host)))
    first, second = _granted(tmp_path, "ssh:git.example:2222", "ssh:b.example")
    assert first.env == second.env
    assert first.files == second.files


@pytest.mark.parametrize("name", ["ssh", "ssh:a b", "ssh:-x", "ssh:a:0"])
def test_what_names_no_host(tmp_path: Path, name: str) -> None:
    """A key is granted for one host."""
    with pytest.raises(UsageError):
        _granted(tmp_path, name)


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    """The error says how to grant it."""
    with pytest.raises(GrantMissingError) as failed:
        _granted(tmp_path, "ssh:c.example")
    assert failed.value.hint == "Grant it first: moat grant ssh:c.example"


def test_the_port_of_the_host_is_opened(tmp_path: Path) -> None:
    """Raw TCP to the host's port is open under any policy, and to nothing else."""
    for host in ("git.example:2222", "b.example", "[fd00::1]"):
        known = HELD.attributes | {"address": host}
        Vault(tmp_path).put(replace(HELD, key=replace(HELD.key, scope=host), attributes=known))
    grants = _granted(tmp_path, "ssh:git.example:2222", "ssh:b.example", "ssh:[fd00::1]")
    network = with_grants(Network(policy="strict", tcp=("a.example:1",)), grants, ())
    assert network.tcp == ("a.example:1", "git.example:2222", "b.example:22", "[fd00::1]:22")
    assert network.rules == ()


def test_no_project_says_which_server_it_is(tmp_path: Path) -> None:
    """A project can't give the host an address, from which its sessions could be relayed."""
    Vault(tmp_path).put(HELD)
    grants = _granted(tmp_path, "ssh:git.example:2222")
    with pytest.raises(UsageError):
        with_grants(Network(), grants, ("git.example",))

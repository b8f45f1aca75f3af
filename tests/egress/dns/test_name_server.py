"""The name server: which names exist under a policy, and what the record says of each question."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Literal

import pytest
from tests.egress.dns_messages import question, read

from moat.egress.dns.name_server import NameServer
from moat.egress.dns.synthetic_ips import SyntheticAddresses
from moat.egress.policy.engine import Policy
from moat.spec.network import Network

if TYPE_CHECKING:
    from moat.egress.traffic.entry import TrafficEntry

FIRST = bytes((198, 18, 0, 1))


class Asked:
    """A name server with a policy, and the entries that it records."""

    def __init__(self, mode: Literal["permissive", "strict", "ask"], *rules: str) -> None:
        self.entries: list[TrafficEntry] = []
        self.disk_full = False
        policy = Policy(Network(policy=mode, rules=rules))
        addresses = SyntheticAddresses([], self._save)
        self._server = NameServer(addresses, lambda: policy, self.entries.append, lambda: 7.0)

    def _save(self, _number: int, _name: str) -> None:
        if self.disk_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def code(self, name: str, **more: int) -> int:
        reply = self._server.answer(question(name, **more), "udp")
        assert reply is not None
        return read(reply).flags & 0xF

    def address(self, name: str) -> bytes:
        reply = self._server.answer(question(name), "tcp")
        assert reply is not None
        return read(reply).answers[0].data


def test_a_name_gets_its_address_and_an_entry() -> None:
    """The entry has the name in canonical form, the type, the transport and the time."""
    asked = Asked("permissive")
    assert asked.address("One.test") == FIRST
    [entry] = asked.entries
    assert (entry.kind, entry.verdict, entry.time) == ("dns", "allowed", 7.0)
    assert (entry.scheme, entry.method, entry.host, entry.port) == ("tcp", "A", "one.test", 53)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("denied.test", "deny denied.test"),
        ("other.test", "policy: strict"),
        ("a_b-.test", "names of servers"),
        ("198.18.0.1", "names of servers"),
    ],
)
def test_a_name_that_does_not_exist_is_denied_by_a_rule(name: str, rule: str) -> None:
    """Under `strict`: by a rule, by the policy, or because no server has such a name."""
    asked = Asked("strict", "deny denied.test", "allow one.test", "allow 198.18.0.1")
    assert asked.code(name) == 3
    [entry] = asked.entries
    assert (entry.verdict, entry.error, entry.rule) == ("denied", "NXDOMAIN", rule)
    assert asked.address("one.test") == FIRST


@pytest.mark.parametrize("mode", ["permissive", "ask"])
def test_elsewhere_a_denied_name_exists(mode: Literal["permissive", "ask"]) -> None:
    """Whoever goes there is told by which rule it is denied."""
    assert Asked(mode, "deny denied.test").address("denied.test") == FIRST


def test_what_is_not_done_is_not_blamed_on_the_policy() -> None:
    """A question of another class is refused; an address that can't be saved is a failure."""
    asked = Asked("permissive")
    assert asked.code("one.test", klass=3) == 5
    asked.disk_full = True
    assert asked.code("one.test") == 2
    refused, failed = asked.entries
    assert (refused.verdict, refused.rule, refused.error[:7]) == ("denied", "", "REFUSED")
    assert (failed.verdict, failed.rule) == ("failed", "")
    assert "can't be kept" in failed.error

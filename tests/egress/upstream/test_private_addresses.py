"""Which addresses a run may not dial unasked."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from moat.egress.upstream.private_addresses import why_private


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1", "loopback"), ("127.255.0.9", "loopback"), ("::1", "loopback"),
        ("0.0.0.0", "own"), ("::", "own"), ("169.254.169.254", "metadata"),
        ("169.254.1.1", "link-local"),
        ("fd00:ec2::254", "metadata"), ("100.100.100.200", "metadata"), ("168.63.129.16", "metadata"),
        ("10.0.0.1", "private"), ("172.16.0.1", "private"), ("172.31.255.255", "private"),
        ("192.168.0.1", "private"), ("100.64.0.1", "private"), ("fc00::1", "private"),
        ("fe80::1", "link-local"),
        ("198.18.0.1", "reserved"), ("198.19.255.255", "reserved"), ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"), ("240.0.0.1", "reserved"), ("255.255.255.255", "reserved"),
        ("192.0.2.1", "reserved"), ("2001:db8::1", "reserved"), ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"), ("::127.0.0.1", "loopback"), ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::169.254.169.254", "metadata"), ("2002:7f00:1::", "loopback"),
        ("2002:a00:1::", "private"),
    ],
)  # fmt: skip
def test_addresses_that_are_not_the_internets(address: str, word: str) -> None:
    """Each kind is named, also inside an IPv6 address that carries it."""
    assert word in (why_private(ip_address(address)) or "")


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255", "198.17.0.1", "198.20.0.1",
     "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)  # fmt: skip
def test_addresses_of_the_internet(address: str) -> None:
    """Public addresses next to private networks stay public."""
    assert why_private(ip_address(address)) is None

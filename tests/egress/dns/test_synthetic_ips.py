"""Synthetic addresses: one for each name, for as long as there is room."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.dns.synthetic_ips import LIMIT, SyntheticAddresses

OURS = ip_network("198.18.0.0/15")


@given(names=st.lists(st.text(min_size=1, max_size=20), max_size=50))
def test_a_name_keeps_its_address_across_supervisors(names: list[str]) -> None:
    """The next supervisor loads the names in the order of their addresses."""
    kept: list[str] = []
    table = SyntheticAddresses([], lambda _, name: kept.append(name))
    addresses = {name: table.address(name) for name in names}
    successor = SyntheticAddresses(kept, lambda _, name: kept.append(name))

    assert kept == list(dict.fromkeys(names))
    assert len(set(addresses.values())) == len(set(names))
    for name, address in addresses.items():
        assert ip_address(address) in OURS
        for each in (table, successor):
            assert each.address(name) == address
            assert each.name(address) == name
    assert kept == list(dict.fromkeys(names))


def test_a_new_name_has_a_new_address_after_a_change_of_supervisors() -> None:
    """New names get the addresses after those of the loaded ones."""
    kept = ["a.example", "b.example"]
    table = SyntheticAddresses(tuple(kept), lambda _, name: kept.append(name))

    assert table.address("c.example") == "198.18.0.3"
    assert kept == ["a.example", "b.example", "c.example"]


@pytest.mark.parametrize(
    "address", ["198.18.0.0", "198.18.0.2", "198.17.255.255", "255.255.255.255", "::1", "nonsense"]
)
def test_an_address_that_was_given_to_nobody_stands_for_nobody(address: str) -> None:
    """Addresses before the first and after the last, and other texts, stand for no name."""
    table = SyntheticAddresses(["a.example"], lambda *_: None)

    assert table.name("198.18.0.1") == "a.example"
    assert table.name(address) is None


def test_of_a_full_table_the_name_that_is_longest_out_of_use_makes_room() -> None:
    """A hostile program can ask for many names, and others keep their addresses."""
    kept: list[tuple[int, str]] = []
    table = SyntheticAddresses(
        (f"{number}.example" for number in range(LIMIT - 1)), lambda *given: kept.append(given)
    )
    last = table.address("last.example")
    assert ip_address(last) in OURS
    assert table.address("0.example") == "198.18.0.1"  # asked for
    assert table.name("198.18.0.3") == "2.example"  # connected to

    assert table.address("new.example") == "198.18.0.2"
    assert table.address("newer.example") == "198.18.0.4"
    assert [table.name(f"198.18.0.{number}") for number in range(1, 5)] == [
        "0.example", "new.example", "2.example", "newer.example",
    ]  # fmt: skip
    assert table.name(last) == "last.example"
    assert kept == [(LIMIT - 1, "last.example"), (1, "new.example"), (3, "newer.example")]


def test_what_could_not_be_kept_was_not_given() -> None:
    """A full disk: the next supervisor would give the address to another name."""

    def keep(_number: int, _name: str) -> None:
        raise OSError(28, "No space left on device")

    table = SyntheticAddresses([], keep)

    with pytest.raises(OSError, match="No space"):
        table.address("a.example")
    assert table.name("198.18.0.1") is None

"""Names and their addresses: one each, for good."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.names_table import LIMIT, NamesTable

OURS = ip_network("198.18.0.0/15")


@given(names=st.lists(st.text(min_size=1, max_size=20), max_size=50))
def test_a_name_keeps_its_address_across_supervisors(names: list[str]) -> None:
    """The next one is told the names in the order in which they came."""
    kept: list[str] = []
    table = NamesTable([], kept.append)
    addresses = {name: table.address(name) for name in names}
    successor = NamesTable(kept, kept.append)

    assert kept == list(dict.fromkeys(names))
    assert len(set(addresses.values())) == len(set(names))
    for name, address in addresses.items():
        assert address is not None
        assert ip_address(address) in OURS
        for each in (table, successor):
            assert each.address(name) == address
            assert each.name(address) == name
    assert kept == list(dict.fromkeys(names))


def test_a_new_name_has_a_new_address_after_a_change_of_supervisors() -> None:
    """Behind those that were given before."""
    kept = ["a.example", "b.example"]
    table = NamesTable(tuple(kept), kept.append)

    assert table.address("c.example") == "198.18.0.3"
    assert kept == ["a.example", "b.example", "c.example"]


@pytest.mark.parametrize(
    "address", ["198.18.0.0", "198.18.0.2", "198.17.255.255", "255.255.255.255", "::1", "nonsense"]
)
def test_an_address_that_was_given_to_nobody_stands_for_nobody(address: str) -> None:
    """The one before the first, the one after the last, and whatever is no such address."""
    table = NamesTable(["a.example"], lambda _name: None)

    assert table.name("198.18.0.1") == "a.example"
    assert table.name(address) is None


def test_a_full_table_forgets_nobody() -> None:
    """A hostile program asks for many: it gets no more, and the others keep theirs."""
    kept: list[str] = []
    table = NamesTable((f"{number}.example" for number in range(LIMIT - 1)), kept.append)

    last = table.address("last.example")

    assert last is not None
    assert ip_address(last) in OURS
    assert table.name(last) == "last.example"
    assert table.address("one-more.example") is None
    assert table.address("0.example") == "198.18.0.1"
    assert kept == ["last.example"]


def test_what_could_not_be_kept_was_not_given() -> None:
    """A full disk: the next supervisor would give the address to another name."""

    def keep(_name: str) -> None:
        raise OSError(28, "No space left on device")

    table = NamesTable([], keep)

    with pytest.raises(OSError, match="No space"):
        table.address("a.example")
    assert table.name("198.18.0.1") is None

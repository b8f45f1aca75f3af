"""Synthetic addresses: each stands for a name inside the sandbox. Pure.

RFC 2544 sets 198.18.0.0/15 aside for benchmarks: nobody on the internet has such an address. A name
keeps its address across supervisors, because programs remember it. When all addresses are in use, a
new name gets the address of the name that was used longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from moat.egress.names import canonical_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIMIT: Final = 65_536
"""Names of one run at a time: a hostile program can ask for any number."""
_FIRST: Final = int(IPv4Address("198.18.0.1"))


class SyntheticAddresses:
    def __init__(self, names: Iterable[str], save: Callable[[int, str], None]) -> None:
        """`names`: in the order of their numbers. `save` stores a number and its name.

        It may raise `OSError`; then the name has no address.
        """
        self._names = list(names)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._save = save
        self._by_use = OrderedDict.fromkeys(self._numbers.values())
        """Numbers, from the one that was asked for or connected to longest ago to the latest."""

    def address(self, name: str) -> str:
        """Return the address of a name, and give it one if it has none."""
        number = self._numbers.get(name)
        if number is None:
            full = len(self._names) == LIMIT
            number = next(iter(self._by_use)) if full else len(self._names)
            self._save(number, name)
            self._assign(number, name)
        self._by_use.move_to_end(number)
        return str(IPv4Address(_FIRST + number))

    def name(self, address: str) -> str | None:
        """Return the name that an address stands for."""
        try:
            number = int(IPv4Address(address)) - _FIRST
        except ValueError:
            return None
        if not 0 <= number < len(self._names):
            return None
        self._by_use.move_to_end(number)
        return self._names[number]

    def host_of(self, address: str) -> str:
        """Return the name behind a synthetic address; any other host in its canonical form.

        Raises `ValueError` for what is neither a name nor an address.
        """
        return self.name(address) or canonical_host(address)

    def _assign(self, number: int, name: str) -> None:
        if number == len(self._names):
            self._names.append(name)
            self._by_use[number] = None
        else:
            del self._numbers[self._names[number]]
            self._names[number] = name
        self._numbers[name] = number

"""Names and the addresses that stand for them in the sandbox. Pure.

RFC 2544 sets 198.18.0.0/15 aside for tests of networks: nobody on the internet has such an address.
A name keeps its address across supervisors, because programs remember what they were told. When all
addresses are given, a new name gets that of the name which nobody has used for the longest time.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from moat.egress.names import canonical_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIMIT: Final = 65_536
"""Names of one run at a time: a hostile program can ask for as many as it likes."""
_FIRST: Final = int(IPv4Address("198.18.0.1"))


class SyntheticAddresses:
    def __init__(self, known: Iterable[str], keep: Callable[[int, str], None]) -> None:
        """`known`: names in the order of the numbers with which `keep` was given them."""
        self._names = list(known)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._keep = keep
        self._by_use = OrderedDict.fromkeys(self._numbers.values())
        """Numbers, the one that was last asked for or connected to at the end."""

    def address(self, name: str) -> str:
        """The name's own. Where the table is full, it was another's that is out of use."""
        number = self._numbers.get(name)
        if number is None:
            full = len(self._names) == LIMIT
            number = next(iter(self._by_use)) if full else len(self._names)
            self._keep(number, name)
            self._give(number, name)
        self._by_use.move_to_end(number)
        return str(IPv4Address(_FIRST + number))

    def name(self, address: str) -> str | None:
        """What this address stands for."""
        try:
            number = int(IPv4Address(address)) - _FIRST
        except ValueError:
            return None
        if not 0 <= number < len(self._names):
            return None
        self._by_use.move_to_end(number)
        return self._names[number]

    def host_of(self, address: str) -> str:
        """The name behind an address of ours; any other host in its canonical form.

        Raises `ValueError` for what is neither a name nor an address.
        """
        return self.name(address) or canonical_host(address)

    def _give(self, number: int, name: str) -> None:
        if number == len(self._names):
            self._names.append(name)
            self._by_use[number] = None
        else:
            del self._numbers[self._names[number]]
            self._names[number] = name
        self._numbers[name] = number

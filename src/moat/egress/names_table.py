"""Names and the addresses that stand for them in the sandbox. Pure.

RFC 2544 sets 198.18.0.0/15 aside for tests of networks: nobody on the internet has such an address.
A name keeps its address for the run's life, across supervisors: programs remember what they were told.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIMIT: Final = 65_536
"""Names of one run: a hostile program can ask for as many as it likes."""
_FIRST: Final = int(IPv4Address("198.18.0.1"))


class NamesTable:
    def __init__(self, known: Iterable[str], keep: Callable[[str], None]) -> None:
        """`known`: names in the order in which `keep` was given them."""
        self._names = list(known)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._keep = keep

    def address(self, name: str) -> str | None:
        """The name's own; `None` when there are too many."""
        number = self._numbers.get(name)
        if number is None:
            number = len(self._names)
            if number >= LIMIT:
                return None
            self._keep(name)
            self._names.append(name)
            self._numbers[name] = number
        return str(IPv4Address(_FIRST + number))

    def name(self, address: str) -> str | None:
        """What this address stands for."""
        try:
            number = int(IPv4Address(address)) - _FIRST
        except ValueError:
            return None
        return self._names[number] if 0 <= number < len(self._names) else None

"""A finding: one thing that a file of the repository says about what its runs need. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Kind = Literal["dependency", "host", "port", "variable", "name", "service", "image", "command"]
"""What is found: a dependency, with its version; a host; a port, with its number; a variable, with its
value; the name of one that the user sets; a service, with its image; a container's image; a command."""

MOST_CHARACTERS: Final = 120
"""The most characters of a name or a value; no longer one is anything that a user would read."""


class Finding(NamedTuple):
    kind: Kind
    name: str
    value: str = ""
    source: str = ""
    """The path of the file, from the root of the repository."""

    @property
    def is_readable(self) -> bool:
        """Tell whether the finding can be shown on one line as it is."""
        return all(
            each.isprintable() and len(each) <= MOST_CHARACTERS for each in (self.name, self.value)
        )


_HOST: Final = re.compile(r"https?://(?:[^\s/@\"']*@)?([A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?)")


def hosts(text: str) -> list[Finding]:
    """Return the hosts of the web addresses in a text, each once, in their order."""
    found = (each[1].lower() for each in _HOST.finditer(text))
    return [Finding("host", name) for name in dict.fromkeys(found)]

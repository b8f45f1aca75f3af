"""A port of a sandbox that is published on the host, and the variable that tells its URL. Pure."""

from dataclasses import dataclass
from typing import Final

ANYBODY_HERE: Final = "localhost"
"""The address that stands for the loopback of both families, open to every user of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A way in: connections to a port of the host reach a server in the sandbox."""

    name: str
    port: int
    """The port at which the server listens in the sandbox."""
    address: str = ""
    """The host's address; empty: its loopback, which serves nobody but the run's own user."""
    host_port: int = 0
    """The host's port; zero: one that is free."""

    @property
    def is_named(self) -> bool:
        """Tell whether the user has given it a name, which isn't just its number."""
        return not self.name.isdecimal()

    @property
    def variable(self) -> str:
        """The variable that tells programs of the sandbox the URL outside."""
        return f"MOAT_URL_{self.name.upper().replace('-', '_')}"

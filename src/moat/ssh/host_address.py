"""The host of an ssh key, as users and ssh write it. Pure, and light: every `moat run` loads it."""

from __future__ import annotations

from typing import Final, NamedTuple

from moat.spec.hosts import canonical_host, endpoint

DEFAULT_PORT: Final = 22


class HostAddress(NamedTuple):
    """A host that ssh connects to."""

    host: str
    port: int = DEFAULT_PORT
    user: str = ""

    @classmethod
    def parse(cls, text: str) -> HostAddress:
        """Parse `[USER@]HOST[:PORT]`, with an IPv6 address in brackets. Raises `ValueError`."""
        user, at, place = text.rpartition("@")
        if at and not user:
            raise ValueError(f"{text!r} names no user before the @")
        if place.startswith("["):
            host, bracket, tail = place[1:].partition("]")
            colon, port = tail[:1], tail[1:]
            if not bracket or (tail and colon != ":"):
                raise ValueError(f"{text!r} is not HOST or HOST:PORT")
        else:
            host, colon, port = place.partition(":")
        if colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise ValueError(f"{port!r} is not a port")
        return cls(canonical_host(host), int(port) if colon else DEFAULT_PORT, user)

    @property
    def pattern(self) -> str:
        """The host as `known_hosts` names it."""
        return self.host if self.port == DEFAULT_PORT else f"[{self.host}]:{self.port}"

    @property
    def endpoint(self) -> str:
        """The host and its port, as `network.tcp` has them."""
        return endpoint(self.host, self.port)

    @property
    def place(self) -> str:
        """The host as users write it, without the user."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the address as users write it."""
        return f"{self.user}@{self.place}" if self.user else self.place

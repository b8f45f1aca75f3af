"""The ssh sessions that run through the run's tunnels, as their servers have announced them."""

from __future__ import annotations

from typing import NamedTuple

from moat.ssh.key_exchange import KeyExchange


class _Place(NamedTuple):
    host: str
    port: int


class SSHSessions:
    """Knows the sessions of open tunnels. Implements `ssh.agent.Sessions`."""

    def __init__(self) -> None:
        self._places: dict[tuple[bytes, bytes], _Place] = {}

    def place(self, host_key: bytes, signature: bytes) -> tuple[str, int] | None:
        """Return where a session leads; `None` if it isn't one of the run's, or is over."""
        return self._places.get((host_key, signature))

    def watch(self, host: str, port: int) -> SessionWatch:
        """Begin to watch a tunnel."""
        return SessionWatch(self._places, _Place(host, port))


class SessionWatch:
    """Watches one tunnel until its session is known. Implements `egress.tunnels.TunnelWatch`."""

    def __init__(self, places: dict[tuple[bytes, bytes], _Place], place: _Place) -> None:
        self._places = places
        self._place = place
        self._found: list[tuple[bytes, bytes]] = []
        self._exchange = KeyExchange(self._seen)

    def received(self, data: bytes) -> None:
        self._exchange.feed(data)

    def _seen(self, host_key: bytes, signature: bytes) -> None:
        self._found.append((host_key, signature))
        self._places[host_key, signature] = self._place

    def ended(self) -> None:
        for each in self._found:
            self._places.pop(each, None)

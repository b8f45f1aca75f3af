"""A run's published ports: opened before its command, kept from one supervisor to the next, recorded.

The listening sockets are the host's, and the engine keeps them, so that a port stays the run's while no
supervisor lives; connections wait for the next one.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.errors import EngineError, MoatError
from moat.events import PortConnected, PortPublished, StateChanged
from moat.platform import socket_owner
from moat.ports import binding, hostnames, router_place
from moat.ports.binding import PortUnavailableError
from moat.ports.relay import Relay, Visitor
from moat.runs.states import ENDED
from moat.supervisor.denials import Denials
from moat.supervisor.repeats import Repeats

if TYPE_CHECKING:
    from pathlib import Path

    from moat.engines.engine import Engine
    from moat.events import Event
    from moat.spec.port import PublishedPort
    from moat.supervisor.audit import RunAudit
    from moat.supervisor.context import RunContext
    from moat.supervisor.egress import RunEgress

_Key = tuple[str, Visitor, str]


class RunPorts:
    """The ways into one run. Implements `ports.relay.Sandbox`, `ports.relay.Record` and `Subscriber`."""

    def __init__(
        self, run: RunContext, home: Path, engine: Engine, egress: RunEgress, audit: RunAudit
    ) -> None:
        """`home`: the store, which may have a router."""
        self._run = run
        self._home = home
        self._engine = engine
        self._egress = egress
        self._audit = audit
        self._relay = Relay(run.loop, run.tasks.start, self, self)
        self._repeats: Repeats[_Key] = Repeats(run.loop, self._tell)
        self._denials = Denials(run)
        self.published: tuple[dict[str, Any], ...] = ()
        """The open ports, as `moat port --json` prints them."""

    # --- opening ---

    async def open(self) -> None:
        """Accept connections from now on. Raises `MoatError` where a port can't be had."""
        published: list[dict[str, Any]] = []
        for port in self._run.spec.ports:
            listeners, is_new = await self._listeners(port)
            address, number = listeners[0].getsockname()[:2]
            published.append(
                {
                    "name": port.name,
                    "port": port.port,
                    "address": address,
                    "host_port": number,
                    "url": binding.url(port, number),
                }
            )
            if is_new:
                self._run.emit(PortPublished(port.name, port.port, address, number))
            self._relay.serve(port, listeners)
        self.published = tuple(published)
        self._run.state.save(ports=self.published)

    async def _listeners(self, port: PublishedPort) -> tuple[list[socket.socket], bool]:
        """Return the sockets of a port, and whether they were made just now."""
        names = {family: f"port-{port.name}-{family}" for family in binding.places(port)}
        kept = [await self._engine.keep(name) for name in names.values()]
        found = [socket.socket(fileno=fd) for fd in kept if fd is not None]
        if found:
            return found, False
        self._check(port)
        made = self._bind(port)
        try:
            for family, sock in made.items():
                fd = await self._engine.keep(names[family], sock)
                if fd is not None:
                    found.append(socket.socket(fileno=fd))
        finally:
            for sock in made.values():
                sock.close()
        return found, True

    def _bind(self, port: PublishedPort) -> dict[str, socket.socket]:
        try:
            return binding.bind(port)
        except PortUnavailableError as exc:
            if port.host_port and port.host_port == router_place.port(self._home):
                raise PortUnavailableError(
                    f"port {port.host_port} is taken: Moat's router listens there",
                    f"Choose another for {port.name}, or for the router (router: {{port: 8081}} in"
                    " config.yaml, then moat router stop)",
                ) from exc
            raise

    def _check(self, port: PublishedPort) -> None:
        if self._egress.gateway.takes(port.port):
            raise MoatError(
                f"port {port.port} can't be published: in this run it leads to Moat's proxy,"
                " because the network policy opens it",
                "Have the server listen on another port",
            )
        if not port.address:
            try:
                _ask_for_an_owner()
            except OSError as exc:
                raise MoatError(
                    f"this kernel can't tell who connects to {port.name}: {exc.strerror}",
                    f"Open the port to every user of the machine: -p {port.name}=localhost:{port.port}",
                ) from exc

    @property
    def variables(self) -> dict[str, str]:
        """The variables that tell programs of the sandbox the URLs outside."""
        router = router_place.port(self._home)
        ports = zip(self._run.spec.ports, self.published, strict=False)
        return {
            port.variable: hostnames.url("http", self._run.spec.name, port.name, router)
            if router and port.is_named
            else known["url"]
            for port, known in ports
        }

    # --- ends ---

    def __call__(self, at: float, event: Event) -> None:
        del at
        if isinstance(event, StateChanged) and event.after in ENDED:
            self.close()

    def close(self) -> None:
        """Accept no more. The engine still has the sockets, unless the run has ended."""
        self._relay.close()
        self._repeats.flush()
        self._denials.flush()

    # --- what the relay needs ---

    async def dial(self, address: str, port: int, /) -> int:
        try:
            return await self._engine.dial(address, port)
        except CommandRefusedError as exc:
            raise OSError(exc.errno, exc.summary) from exc
        except SandboxGoneError as exc:
            raise ConnectionError(exc.summary) from exc

    def refusal(self, port: int, /) -> str:
        if self._audit.problem:
            return self._audit.problem
        try:
            taken = self._egress.gateway.takes(port)
        except EngineError as exc:
            return exc.summary
        return "the network policy has opened this port: it leads to the proxy now" if taken else ""

    def connected(self, port: PublishedPort, visitor: Visitor, problem: str, /) -> None:
        self._repeats.add((port.name, visitor, problem))

    def refused(self, port: PublishedPort, visitor: Visitor, why: str, /) -> None:
        self._denials.add("port", visitor.address, port.port, port.name, why)

    def _tell(self, key: _Key | None, detail: str, count: int) -> None:
        del detail
        if key is None:
            self._run.emit(PortConnected("", "", None, "", count))
        else:
            name, visitor, problem = key
            self._run.emit(PortConnected(name, visitor.address, visitor.uid, problem, count))


def _ask_for_an_owner() -> None:
    """Ask the kernel who has connected, once, to see whether it answers. Raises `OSError`."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        if socket_owner.owner(accepted) is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

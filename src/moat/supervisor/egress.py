"""The run's way out, between its gateway (`moat.egress`) and its engine."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from moat.egress.gateway import RunGateway
from moat.engines.bubblewrap.shim_client import ShimGoneError, ShimRefusedError
from moat.errors import EngineError, MoatError
from moat.supervisor.state import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moat.egress.policy.live_policy import LivePolicy
    from moat.egress.tls.ca import CertificateAuthority
    from moat.engines.bubblewrap.engine import Bubblewrap
    from moat.supervisor.attached import AttachedClient
    from moat.supervisor.supervisor import Supervisor

log = logging.getLogger(__name__)

_TELL_S: Final = 0.5
"""Between two tellings of what waits."""
_NAMED: Final = 8
"""Hosts, in a line about them."""


class RunNetwork:
    """Open before the command's first instruction, or the command does not begin."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._gateway: RunGateway | None = None
        self._decisions: LivePolicy | None = None
        """Those of the gateway, also while it is being opened: requests come at once."""
        self._told: set[tuple[str, int]] = set()
        """Host and port of what is shown to wait for the user ..."""
        self._notice = ""
        """... and how that was said."""
        self._telling: asyncio.TimerHandle | None = None
        self._preparing: asyncio.Future[CertificateAuthority] | None = None

    def prepare(self) -> None:
        """Begins with what takes long, while the shim starts; `open` goes on from there."""
        self._preparing = self._prepared()

    def _prepared(self) -> asyncio.Future[CertificateAuthority]:
        return self._supervisor.loop.run_in_executor(None, _authority, self._supervisor.folder.root)

    async def open(self, engine: Bubblewrap) -> None:
        """Raises `MoatError`: without its network no command begins."""
        try:
            gateway = await self._made()
        except OSError as exc:  # a full disk most of all
            raise EngineError(
                f"the record of the network can't be opened: {exc.strerror}",
                f"It needs some megabytes in {self._supervisor.folder.root}",
            ) from exc

        async def listen(family: str, kind: str, address: str, port: int) -> int:
            try:
                return await engine.listen(family, kind, address, port)
            except ShimRefusedError as exc:
                raise OSError(exc.errno, exc.summary) from exc

        try:
            await gateway.open(listen)
            gateway.watch_refusals(await engine.packets())
        except OSError as exc:
            gateway.close()
            raise EngineError(
                f"the sandbox's network can't be captured: {exc.strerror}",
                "Without it no command begins; see supervisor.log of the run",
            ) from exc
        except BaseException:
            gateway.close()
            raise
        self._gateway = gateway

    async def reopen(self, engine: Bubblewrap) -> None:
        """For a command that runs already: until it succeeds, connections wait in the shim."""
        self._supervisor.state.save(waiting="")  # who asked the last supervisor was reset with it
        if not await self._opened(engine):
            self._supervisor.background.start(self._open_later(engine))

    async def _open_later(self, engine: Bubblewrap) -> None:
        opened = False
        while not opened:
            await asyncio.sleep(RETRY_S)  # a disk tells nobody when it has room again
            opened = await self._opened(engine)
        self._supervisor.state.save(error=None)

    async def _opened(self, engine: Bubblewrap) -> bool:
        try:
            await self.open(engine)
        except ShimGoneError:
            return True  # the run is over: there is nothing to open any more
        except MoatError as exc:
            log.error("no network yet, trying again: %s", exc.summary)  # noqa: TRY400
            self._supervisor.state.save(error=exc.summary)
            return False
        return True

    async def _made(self) -> RunGateway:
        supervisor = self._supervisor
        preparing, self._preparing = self._preparing or self._prepared(), None
        gateway = RunGateway(
            supervisor.spec.network,
            supervisor.folder,
            await preparing,
            supervisor.loop,
            supervisor.background.start,
            supervisor.spec.name,
        )
        self._decisions = gateway.decisions
        self._decisions.on_pending = self._pending_changed
        return gateway

    @property
    def gateway(self) -> RunGateway:
        """Raises `EngineError` while there is none."""
        if self._gateway is None:
            raise EngineError("the run has no network yet", "Try again in a moment")
        return self._gateway

    @property
    def certificate(self) -> bytes:
        return self.gateway.authority.certificate_pem

    def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        if self._gateway is not None:
            # Who waits is told by nobody any more.
            self._gateway.decisions.on_pending = lambda: None
            self._gateway.close()

    def tell(self, client: AttachedClient) -> None:
        """To one who has just come, or sees the screen again: what waits."""
        if self._notice:
            client.tell(self._notice)

    def _pending_changed(self) -> None:
        """Told at once and then not for a while: a hostile program asks and gives up all the time."""
        if self._telling is None:
            self._tell_pending()

    @property
    def _waiting(self) -> list[tuple[str, int]]:
        return [] if self._decisions is None else self._decisions.hosts

    def _tell_pending(self) -> None:
        """Those who could answer see that somebody waits for them: in `moat list`, and who watches."""
        self._telling = None
        supervisor = self._supervisor
        waiting = set(self._waiting)
        if waiting == self._told:
            return
        new, old, self._told = waiting - self._told, waiting & self._told, waiting
        supervisor.state.save(waiting=" ".join(f"{host}:{port}" for host, port in sorted(waiting)))
        hosts = [host for host, _ in (*sorted(new), *sorted(old))]
        self._notice = notice(hosts, supervisor.spec.name) if hosts else ""
        for client in tuple(supervisor.audience.clients):
            if new:
                client.tell(self._notice)
            elif waiting:
                client.retell(self._notice)
            else:
                client.untell()
        supervisor.audience.notify()
        self._telling = supervisor.loop.call_later(_TELL_S, self._tell_pending)


def notice(hosts: Sequence[str], run: str) -> str:
    """That these wait for an answer, and how to give it: a line that a terminal may cut off."""
    hosts = list(dict.fromkeys(hosts))
    if len(hosts) == 1:
        return f"{hosts[0]} waits for an answer: moat allow {run} {hosts[0]}, or deny"
    named = ", ".join(hosts[:_NAMED])
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    return f"{len(hosts)} hosts wait for an answer: {named}{more}; moat allow {run} HOST, or deny"


def _authority(folder: Path) -> CertificateAuthority:
    from moat.egress.tls.ca import CertificateAuthority  # noqa: PLC0415  loads slowly: see `prepare`

    return CertificateAuthority.load_or_create(folder)

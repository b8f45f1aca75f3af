"""The run's way out, between its gateway (`moat.egress`) and its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.authority import Authority
from moat.egress.gateway import RunGateway
from moat.engines.shim_link import ShimRefusedError
from moat.errors import EngineError

if TYPE_CHECKING:
    from moat.egress.decisions import Pending
    from moat.engines.bubblewrap import Bubblewrap
    from moat.supervisor.supervisor import Supervisor


class RunNetwork:
    """Open before the command's first instruction, or the command does not begin."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._gateway: RunGateway | None = None

    async def open(self, engine: Bubblewrap) -> None:
        """Raises `MoatError`: without its network there is no run."""
        supervisor = self._supervisor
        loop = supervisor.loop
        authority = await loop.run_in_executor(
            None, Authority.load_or_create, supervisor.folder.root
        )
        gateway = RunGateway(
            supervisor.spec.network,
            supervisor.folder,
            authority,
            loop,
            supervisor.background.start,
        )
        self._gateway = gateway
        gateway.decisions.on_pending = self._tell_pending

        async def listen(family: str, kind: str, address: str, port: int) -> int:
            try:
                return await engine.listen(family, kind, address, port)
            except ShimRefusedError as exc:
                raise OSError(exc.errno, exc.summary) from exc

        try:
            await gateway.open(listen)
            gateway.watch_refusals(await engine.packets())
        except OSError as exc:
            raise EngineError(
                f"the sandbox's network can't be captured: {exc.strerror}",
                "Without it the command would not begin; see supervisor.log of the run",
            ) from exc

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
        if self._gateway is not None:
            self._gateway.close()

    def _tell_pending(self, pending: list[Pending]) -> None:
        """Those who could answer see that somebody waits for them."""
        hosts = ", ".join(each.host for each in pending)
        name = self._supervisor.spec.name
        note = f"waits for an answer: moat allow {name} HOST, or deny: {hosts}" if hosts else None
        self._supervisor.state.save(error=note)
        self._supervisor.audience.notify()

"""The run's way out, between its gateway (`moat.egress`) and its engine."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from moat.egress.gateway import RunGateway
from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.errors import EngineError, MoatError
from moat.events import CredentialEchoed, CredentialUsed, Fault
from moat.supervisor.budget import RunBudget
from moat.supervisor.denials import Denials
from moat.supervisor.dropped_traffic import DroppedTraffic
from moat.supervisor.state import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.egress.tls.ca import CertificateAuthority
    from moat.egress.traffic.entry import TrafficEntry
    from moat.egress.tunnels import TunnelWatch
    from moat.engines.engine import Engine
    from moat.supervisor.audit import RunAudit
    from moat.supervisor.context import RunContext
    from moat.supervisor.credentials import RunCredentials
    from moat.supervisor.questions import Questions
    from moat.supervisor.shutdown import Shutdown

log = logging.getLogger(__name__)

MAX_ECHOES: Final = 256
"""Events of credentials that came back, each but once for a server; the traffic record has every one."""


class RunEgress:
    """The gateway of a run: open before the command's first instruction, or no command begins."""

    def __init__(
        self, run: RunContext, questions: Questions, audit: RunAudit, shutdown: Shutdown
    ) -> None:
        self._audit = audit
        self._spec = run.spec
        self._folder = run.folder
        self._state = run.state
        self._tasks = run.tasks
        self._emit = run.emit
        self._loop = run.loop
        self._questions = questions
        self.budget = RunBudget(run, shutdown)
        self._denials = Denials(run)
        self._dropped = DroppedTraffic(run)
        self._gateway: RunGateway | None = None
        self._credentials: RunCredentials | None = None
        self._echoes: set[CredentialEchoed] = set()
        self._used: set[CredentialUsed] = set()
        self._preparing: asyncio.Future[CertificateAuthority] | None = None
        self.watch_tunnels: Callable[[str, int], TunnelWatch | None] = lambda _host, _port: None
        """Returns who is to watch a tunnel of raw TCP to a host and port."""

    # --- opening ---

    def prepare(self) -> None:
        """Begin what takes long, while the sandbox starts; `open` goes on from there."""
        self._preparing = self._prepare()

    def _prepare(self) -> asyncio.Future[CertificateAuthority]:
        return self._loop.run_in_executor(None, _authority, self._folder.root)

    async def open(self, engine: Engine) -> None:
        """Capture the sandbox's network. Raises `MoatError`: without it no command begins."""
        try:
            gateway = await self._make_gateway()
        except OSError as exc:  # a full disk most of all
            raise EngineError(
                f"the record of the network can't be opened: {exc.strerror}",
                f"It needs some megabytes in {self._folder.root}",
            ) from exc

        async def listen(family: str, kind: str, address: str, port: int) -> int:
            try:
                return await engine.listen(family, kind, address, port)
            except CommandRefusedError as exc:
                raise OSError(exc.errno, exc.summary) from exc

        try:
            await gateway.open(listen)
            gateway.watch_blocked(await engine.blocked())
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

    async def _make_gateway(self) -> RunGateway:
        preparing, self._preparing = self._preparing or self._prepare(), None
        gateway = RunGateway(
            self._spec.network,
            self._folder,
            await preparing,
            self._loop,
            self._tasks.start,
            self._spec.name,
            self._spec.budget,
        )
        gateway.tunnels.watch = self.watch_tunnels
        if any(each.injections for each in self._spec.grants):
            self._add_credentials(gateway)
        gateway.reporter.on_denied = self._report_denied
        gateway.reporter.on_dropped = self._dropped.add
        gateway.reporter.audit_problem = lambda: self._audit.problem
        gateway.traffic.on_final = self._audit.requests
        # Before the gateway is open: requests come at once.
        self._questions.follow(gateway.live_policy, gateway.budget)
        self.budget.follow(gateway.budget)
        return gateway

    def _add_credentials(self, gateway: RunGateway) -> None:
        # Most runs have no grants, and these take a while to load.
        from moat.credentials.vault import Vault  # noqa: PLC0415
        from moat.supervisor.credentials import RunCredentials  # noqa: PLC0415
        from moat.supervisor.renewal import Renewal  # noqa: PLC0415

        grants = self._spec.grants
        home = self._folder.root.parents[1]
        try:
            renewal = Renewal(self._spec.network)
            credentials = RunCredentials(Vault(home), self._loop, renewal)
        except OSError as exc:
            gateway.close()
            raise EngineError(
                f"the vault can't be watched: {exc.strerror}",
                "Grant the credentials again: moat grant",
            ) from exc
        self._credentials = credentials
        authorizer = gateway.grant(grants, credentials)
        authorizer.on_echo = self._report_echo
        authorizer.on_use = self._report_use

        def changed() -> None:
            authorizer.forget()
            gateway.connections.reconsider()

        credentials.on_changed = changed

    async def reopen(self, engine: Engine) -> None:
        """Open the network of a command that runs already.

        Until that succeeds, connections wait in the backlogs of the sandbox's listeners.
        """
        self._state.save(waiting="")  # the questions of the last supervisor were reset with it
        if not await self._try_open(engine):
            self._tasks.start(self._keep_trying(engine))

    async def _keep_trying(self, engine: Engine) -> None:
        opened = False
        while not opened:
            await asyncio.sleep(RETRY_S)  # a disk gives no notice when it has room again
            opened = await self._try_open(engine)
        self._state.report(None)
        self._emit(Fault("network", ""))

    async def _try_open(self, engine: Engine) -> bool:
        try:
            await self.open(engine)
        except SandboxGoneError:
            return True  # the run is over: there is nothing to open any more
        except MoatError as exc:
            log.error("no network yet, trying again: %s", exc.summary)  # noqa: TRY400  no traceback
            self._state.report(exc.summary)
            self._emit(Fault("network", exc.summary))
            return False
        return True

    # --- open ---

    @property
    def gateway(self) -> RunGateway:
        """The gateway. Raises `EngineError` while there is none."""
        if self._gateway is None:
            raise EngineError("the run has no network yet", "Try again in a moment")
        return self._gateway

    @property
    def certificate(self) -> bytes:
        """The certificate, in PEM, that programs in the sandbox are to trust."""
        return self.gateway.authority.certificate_pem

    def _report_echo(self, credential: str, host: str, port: int) -> None:
        echo = CredentialEchoed(credential, host, port)
        if echo not in self._echoes and len(self._echoes) < MAX_ECHOES:
            self._echoes.add(echo)
            self._emit(echo)

    def _report_use(self, credential: str, host: str, port: int) -> str:
        """Record that a credential goes to a server, once; return why it may not go, or nothing."""
        use = CredentialUsed(credential, host, port)
        if use not in self._used:
            self._emit(use)
            if not self._audit.problem:
                self._used.add(use)
        return self._audit.problem

    def _report_denied(self, entry: TrafficEntry) -> None:
        self._denials.add(entry.scheme, entry.host, entry.port, entry.rule, entry.error)

    def close(self) -> None:
        self._questions.close()
        self._denials.flush()
        if self._credentials is not None:
            self._credentials.close()
        if self._gateway is not None:
            self._gateway.close()
        self.budget.close()
        # Behind what the writer's thread has reported just now.
        self._loop.call_soon(self._dropped.flush)


def _authority(folder: Path) -> CertificateAuthority:
    from moat.egress.tls.ca import CertificateAuthority  # noqa: PLC0415  loads slowly: see `prepare`

    return CertificateAuthority.load_or_create(folder)

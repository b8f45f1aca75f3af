"""The services of a run: started before its command, waited for, watched until they or the run end.

Their engine starts and removes them; this part knows their passwords and asks them whether they are
ready, by connections inside the run's network.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.engines.services import ServiceEndedError, how_it_ended
from moat.errors import EngineError, MoatError, StoreError
from moat.events import Fault, ServiceChanged, StateChanged
from moat.printable import without_controls
from moat.runs import service_records
from moat.runs.states import ENDED, State
from moat.runs.volumes import check_unused
from moat.services.variables import Filled, as_json, filled
from moat.supervisor.service_probe import ask
from moat.supervisor.shown import HINT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moat.engines.engine import Engine
    from moat.engines.services import Services
    from moat.events import Event
    from moat.runs.store import Store
    from moat.spec import Service
    from moat.supervisor.context import RunContext
    from moat.supervisor.egress import RunEgress

T = TypeVar("T")
log = logging.getLogger(__name__)

LAST_LINES: Final = 10
"""Lines of a service's log that the error of a failed start has."""
_WIDTH: Final = 200


class ServiceFailedError(MoatError):
    """A service has ended, or isn't ready in time, before the run's command could begin."""

    code = "service_failed"


class RunServices:
    """The services of one run. Implements `Subscriber`."""

    def __init__(
        self,
        run: RunContext,
        store: Store,
        engine: Engine,
        egress: RunEgress,
        containers: Services,
        is_ending: Callable[[], bool],
    ) -> None:
        """`is_ending` tells whether the run takes its services along, whose ends are no events then."""
        self._run = run
        self._is_ending = is_ending
        self._store = store
        self._engine = engine
        self._egress = egress
        self._containers = containers
        self._filled: dict[str, Filled] = {}
        self._watched: dict[int, Service] = {}
        """The service of each pidfd that is watched."""
        self._ended: dict[str, asyncio.Event] = {}
        """Set once the service of that name has ended."""
        self._passwords: Mapping[str, str] = {}

    @property
    def variables(self) -> dict[str, str]:
        """The variables that tell commands of the run where its services are, with their passwords."""
        return {
            f"{service.variables_prefix}{name}": text
            for service in self._services
            if service.name in self._filled
            for name, text in self._filled[service.name].variables.items()
        }

    def as_json(self) -> list[dict[str, Any]]:
        """Return the services as `moat inspect` shows them."""
        return as_json(self._services, {each.name for each in self._watched.values()})

    # --- the start ---

    async def start(self) -> None:
        """Return once all of them are ready. Raises `MoatError`."""
        run = self._run
        self._check()
        await self._in_thread(lambda: self._containers.prepare(self._services))
        made = await self._in_thread(lambda: service_records.make(run.folder, self._services))
        self._fill(made.passwords)
        await self._start_containers()
        try:
            async with asyncio.TaskGroup() as until_interrupted:
                watch = until_interrupted.create_task(self._raise_if_interrupted())
                async with asyncio.TaskGroup() as group:
                    for each in self._services:
                        group.create_task(self._ready(each))
                watch.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors.exceptions) from None

    def _check(self) -> None:
        for service in self._services:
            for port in service.ports:
                if self._egress.gateway.takes(port):
                    raise MoatError(
                        f"service {service.name}: port {port} leads to Moat's proxy in this run,"
                        " because the network policy opens it",
                        "Have the service listen on another port, or close it: network.tcp",
                    )
            if service.volume is not None:
                check_unused(self._store, self._run.spec.id, service.volume)

    async def _start_containers(self) -> None:
        """Start all of them, and return when none is being started any more. Raises `EngineError`."""
        authority = self._egress.certificate

        def start(service: Service) -> int:
            texts = self._filled[service.name]
            return self._containers.start(service, texts.env, texts.files, authority)

        loop = self._run.loop
        started = [loop.run_in_executor(None, start, each) for each in self._services]
        # A thread can't be called back: what is removed after a failure has to be there by then.
        await asyncio.wait(started)
        outcomes = list(zip(self._services, started, strict=True))
        for service, pidfd in outcomes:
            if pidfd.exception() is None:
                self._watch(service, pidfd.result())
                self._run.emit(ServiceChanged(service.name, "started", service.image))
        self._run.changes.notify()
        for service, pidfd in outcomes:
            if isinstance(error := pidfd.exception(), ServiceEndedError):
                raise await self._failure(service, error.summary)
            pidfd.result()

    async def _raise_if_interrupted(self) -> None:
        state = self._run.state
        await self._run.changes.until(lambda: state.now is State.STOPPING or state.ended)
        if state.ended:
            raise SandboxGoneError("the run's sandbox is gone")
        raise MoatError("the run was stopped before its command began")

    async def _ready(self, service: Service) -> None:
        """Return once a service is ready. Raises `MoatError`."""
        variables = self._filled[service.name].variables
        try:
            async with asyncio.timeout(service.ready.timeout), asyncio.TaskGroup() as group:
                watch = group.create_task(self._raise_at_end(service))
                await ask(self._run.loop, self._dial, service, variables)
                watch.cancel()
        except TimeoutError:
            why = f"is not ready after {service.ready.timeout:g} s"
            raise await self._failure(service, why) from None
        self._run.emit(ServiceChanged(service.name, "ready", f"port {service.ready_port}"))

    async def _raise_at_end(self, service: Service) -> None:
        await self._ended[service.name].wait()
        _, why = await self._how_it_ended(service)
        raise await self._failure(service, why)

    async def _failure(self, service: Service, why: str) -> ServiceFailedError:
        lines = await self._last_lines(service)
        said = "".join(f"\n  {each}" for each in lines)
        hint = f"The last lines of its log:{said}" if lines else "It has written nothing"
        return ServiceFailedError(f"service {service.name} ({service.image}) {why}", hint)

    async def _last_lines(self, service: Service) -> list[str]:
        """Return the end of a service's log, harmless for a terminal and without the password."""
        try:
            content = await self._in_thread(lambda: self._containers.log(service.name, LAST_LINES))
        except EngineError as exc:
            log.info("service %s: %s", service.name, exc.summary)
            return []
        text = content.decode(errors="replace")
        text = text.replace(self._passwords[service.name], "[password]")
        return [without_controls(each)[:_WIDTH] for each in text.splitlines()[-LAST_LINES:]]

    def _fill(self, passwords: Mapping[str, str]) -> None:
        self._passwords = passwords
        self._filled = {each.name: filled(each, passwords[each.name]) for each in self._services}

    async def _dial(self, address: str, port: int) -> int:
        try:
            return await self._engine.dial(address, port)
        except CommandRefusedError as exc:
            raise OSError(exc.errno, exc.summary) from exc

    # --- a run that goes on ---

    async def adopt(self) -> None:
        """Go on watching the services that the last supervisor has started."""
        run = self._run
        try:
            records = await self._in_thread(lambda: service_records.read(run.folder))
        except StoreError as exc:
            # The run goes on, and so do its services; commands that follow don't learn the passwords.
            run.emit(Fault("service", exc.summary))
            return
        self._fill(records.passwords)
        for service in self._services:
            if service.name in records.ended:
                continue
            try:
                pidfd = await self._in_thread(lambda name=service.name: self._containers.find(name))
            except EngineError as exc:
                # Nobody can tell whether it runs, so nobody says that it has ended.
                log.warning("service %s is not watched: %s", service.name, exc.summary)
                continue
            if pidfd is None:
                await self._tell_end(service)
            else:
                self._watch(service, pidfd)

    def _watch(self, service: Service, pidfd: int) -> None:
        self._watched[pidfd] = service
        self._ended[service.name] = asyncio.Event()
        self._run.loop.add_reader(pidfd, self._has_ended, pidfd)

    def _has_ended(self, pidfd: int) -> None:
        service = self._watched[pidfd]
        self._unwatch(pidfd)
        self._ended[service.name].set()
        if self._run.state.now is not State.STARTING:
            self._run.tasks.start(self._tell_end(service))

    async def _tell_end(self, service: Service) -> None:
        code, why = await self._how_it_ended(service)
        if not self._is_ending():
            self._run.emit(ServiceChanged(service.name, "ended", why, code))
            try:
                service_records.note_end(self._run.folder, service.name)
            except StoreError as exc:  # a full disk: the next supervisor tells it again
                log.warning("%s", exc.summary)
            self._run.changes.notify()
            self._show(f"service {service.name} {why}")

    def _show(self, line: str) -> None:
        """Show viewers a line for a while."""
        notices = self._run.notices
        notices.service = line
        notices.show(new=bool(line))
        if line:
            self._run.loop.call_later(HINT_S, self._show, "")

    async def _how_it_ended(self, service: Service) -> tuple[int | None, str]:
        try:
            state = await self._in_thread(lambda: self._containers.ended(service.name))
        except EngineError as exc:
            log.info("service %s: %s", service.name, exc.summary)
            state = None
        return (None if state is None else state.exit_code), how_it_ended(state)

    # --- the end ---

    def __call__(self, at: float, event: Event) -> None:
        del at
        if isinstance(event, StateChanged) and event.after in ENDED:
            self.close()
            service_records.forget(self._run.folder)

    def close(self) -> None:
        """Watch no more. The services go on, unless the run has ended."""
        for pidfd in tuple(self._watched):
            self._unwatch(pidfd)

    def _unwatch(self, pidfd: int) -> None:
        self._run.loop.remove_reader(pidfd)
        os.close(pidfd)
        del self._watched[pidfd]

    @property
    def _services(self) -> tuple[Service, ...]:
        return self._run.spec.services

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._run.loop.run_in_executor(None, work)


def _first(errors: Sequence[BaseException]) -> BaseException:
    """Return the first error that tasks have raised, which ended the others."""
    match errors[0]:
        case BaseExceptionGroup(exceptions=inner):
            return _first(inner)
        case error:
            return error

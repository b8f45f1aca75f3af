"""`moat run [PATH] [-- COMMAND...]`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moat.cli.found import supervisor_of
from moat.client.workspace_copy import WorkspaceCopies
from moat.config import settings as user_settings
from moat.config.compile import HostContext, RunOptions
from moat.config.creation import create_run
from moat.credentials.run_secrets import RunSecrets
from moat.errors import MoatError, RunNotFoundError, UsageError
from moat.ground.own_files import separate_own_files
from moat.keyboard.key_names import parse_escape_prefix
from moat.runs import lock
from moat.runs.states import State
from moat.runs.store import Run, Store
from moat.spec import Limits, TerminalSize
from moat.spec.port import ANYBODY_HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from moat.cli.published import Published
    from moat.client.connect.standby import Standby
    from moat.client.worktree import WorktreeForRun
    from moat.config.consent import Answer, Question
    from moat.config.run_image import ImageRequest
    from moat.config.services import ServiceRequest
    from moat.config.settings import Settings
    from moat.spec import Grant, PublishedPort, Service

SHELLS = frozenset(
    ("bash", "dash", "fish", "ipython", "irb", "node", "python", "python3", "sh", "sqlite3", "zsh")
)


# After so many seconds the error of a failed start is said, even if something is left of the run.
REMOVAL_S: Final = 5.0


def carry_out(
    *,
    supervisor: Standby | None = None,
    path: str | None = None,
    command: tuple[str, ...] = (),
    detach: bool = False,
    escape_keys: str | None = None,
    worktree: str | None = None,
    **given: Any,
) -> int:
    """Start a run with the options `given` of `RunOptions`; `supervisor` is on standby for it."""
    if os.environ.get("MOAT_RUN"):
        raise UsageError("this command runs inside a run", "Start runs from outside")
    if separate_own_files():
        # This process, and the supervisor on standby, have loaded files that a run could write.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    with Store() as store, ExitStack() as made:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        path, in_worktree = path or ".", None
        if worktree is not None:
            if given.get("copy"):
                raise UsageError("--worktree and --copy exclude each other", "Give one of them")
            in_worktree = _worktree(made, store, settings, path, worktree)
            given["copy"] = False  # it has a folder of its own already
            given["name"] = given.get("name") or _name_of(store, worktree)
            path = str(in_worktree.worktree.tree)
        run_options = RunOptions(path=path, command=command, **given)
        host = _host_context(store, settings, supervisor, detach=detach)
        run = create_run(store, run_options, settings, host)
        if supervisor is not None:
            supervisor.go(leave_spare=settings.spare)
        _tell_surroundings(store, run)
        _begin_upkeep(store, settings)
        _begin_telemetry(store, run, settings)
        from moat.client.attach.attach import AttachOptions, attach  # noqa: PLC0415  loads meanwhile

        if supervisor is not None:
            supervisor.wait()
        options = AttachOptions(
            escape_prefix=prefix,
            fresh=True,
            interrupt_window=settings.interrupt_window,
            prefix_timeout=settings.prefix_timeout,
            status_row=settings.status_row,
        )
        try:
            if detach:
                code = _leave(store, run)
            else:
                _hint(run)
                code = attach(store, run, options)
        except MoatError:
            _discard(store, run)
            raise
        if in_worktree is not None:
            in_worktree.keep()
        return code


def _begin_upkeep(store: Store, settings: Settings) -> None:
    """Do in the background what the user's settings ask for: remove old runs, ask witnesses."""
    if settings.retention is not None:
        from moat.client.upkeep import start_if_due  # noqa: PLC0415  most users have no bounds

        try:
            start_if_due(store.home, settings.retention)
        except OSError as exc:  # too many processes: the run itself may still find room
            _tell(f"runs beyond retention were not removed: {exc.strerror}")
    if settings.witnesses:
        from moat.client import witness  # noqa: PLC0415  most users have none

        try:
            witness.start_if_due(store.home)
        except OSError as exc:
            _tell(f"witnesses are not asked: {exc.strerror}")


def _begin_telemetry(store: Store, run: Run, settings: Settings) -> None:
    """Have spans of the run sent to the user's collector."""
    collector = settings.telemetry.get("otlp", {})
    if "endpoint" in collector:
        from moat.telemetry.follower import start  # noqa: PLC0415  most users have no collector

        try:
            start(store.home, run.id, collector)
        except OSError as exc:  # the run goes on without
            _tell(f"no spans are sent: {exc.strerror}")
        except MoatError as error:
            _tell(f"no spans are sent: {error.summary}. {error.hint}")


def _worktree(
    made: ExitStack, store: Store, settings: Settings, path: str, branch: str
) -> WorktreeForRun:
    from moat.client.worktree import WorktreeForRun  # noqa: PLC0415  starts programs

    worktree = made.enter_context(WorktreeForRun(store, path, branch, settings.programs))
    if worktree.is_dirty:
        _tell("what isn't committed here is not in the worktree")
    return worktree


def _name_of(store: Store, branch: str) -> str:
    """Return the name of a run that works on a branch."""
    from moat.client.worktree import slug  # noqa: PLC0415  as above
    from moat.config.names import numbered  # noqa: PLC0415

    return numbered(slug(branch), {run.name for run in store.all()})


def _host_context(
    store: Store, settings: Settings, supervisor: Standby | None, *, detach: bool
) -> HostContext:
    stdin, stdout = os.isatty(0), os.isatty(1)
    size = TerminalSize()
    if stdout:
        from moat.client.attach.terminal import LocalTerminal  # noqa: PLC0415

        size = LocalTerminal(0 if stdin else 1, 1).size()
    run_id = None if supervisor is None else supervisor.run_id
    asks = stdin and os.isatty(2)

    def grants(names: Iterable[str], profile: str) -> tuple[Grant, ...]:
        from moat.cli.run_grants import offer  # noqa: PLC0415  most runs have no grants
        from moat.credentials.granted import GrantedCredentials  # noqa: PLC0415

        return GrantedCredentials(store.home, offer if asks else None).grants(names, profile)

    return HostContext(
        stdin,
        stdout,
        size,
        detached=detach,
        run_id=run_id,
        ask=_ask if asks else None,
        grants=grants,
        called_by=sys.argv[0],
        tell=_tell,
        secrets=RunSecrets(store.home, settings.programs),
        route=partial(_route, store.home, settings),
        copier=WorkspaceCopies(store.home, _tell),
        service=partial(_service, store.home),
        images=partial(_image, store.home),
    )


def _route(home: Path, settings: Settings) -> None:
    from moat.cli.published import router_port  # noqa: PLC0415  most runs have no named ports

    router_port(home, settings)


def _service(home: Path, request: ServiceRequest, place: Callable[[str], str]) -> Service:
    from moat.services import catalog, resolve  # noqa: PLC0415  most runs have no services

    return resolve.resolve(request, lambda name: catalog.find(name, home), place)


def _image(home: Path, request: ImageRequest) -> str:
    from moat.cli.build_progress import BuildProgress  # noqa: PLC0415  most runs make no image
    from moat.client.images import RunImages  # noqa: PLC0415

    return RunImages(home, BuildProgress())(request)


def _tell(text: str) -> None:
    sys.stderr.write(f"moat: {text}\n")


def _ask(question: Question) -> Answer:
    from moat.cli.consent import ask  # noqa: PLC0415  once for each change of a project's file

    return ask(question)


def _tell_surroundings(store: Store, run: Run) -> None:
    """Say what the run may use, what the sandbox sees, and which limits can't be kept here."""
    spec = store.spec(run.id)
    if spec.copy and not spec.remove_at_end:
        _tell(f"take its changes over with: moat apply {run.name}")
    if spec.grants:
        from moat.cli.run_grants import in_one_line  # noqa: PLC0415  most runs have no grants

        sys.stderr.write(f"moat: {in_one_line(spec.grants)}\n")
    if spec.secrets:
        names = ", ".join(spec.secrets)
        sys.stderr.write(f"moat: the sandbox sees these secrets as they are: {names}\n")
    if spec.services:
        names = ", ".join(f"{each.name} ({each.image})" for each in spec.services)
        _tell(f"the command begins once its services are ready: {names}")
    for port in spec.ports:
        if port.address:
            _tell_who_may_come(port)
    if spec.limits != Limits():
        from moat.engines import registry  # noqa: PLC0415  for runs with limits alone

        for line in registry.weaknesses(spec):
            sys.stderr.write(f"moat: {line}\n")


def _tell_who_may_come(port: PublishedPort) -> None:
    """Warn of a port that isn't for the run's user alone."""
    from ipaddress import ip_address  # noqa: PLC0415  for addresses alone

    loopback = port.address == ANYBODY_HERE or ip_address(port.address).is_loopback
    who = "every user of this machine" if loopback else "whoever reaches this machine"
    _tell(f"port {port.name} is open to {who}, at {port.address}")


def _hint(run: Run) -> None:
    """Hint at -i, which was most likely forgotten: without input, a shell is of no use."""
    program = os.path.basename(run.command[0])  # noqa: PTH119
    if len(run.command) == 1 and program in SHELLS and not run.interactive and os.isatty(0):
        sys.stderr.write(
            f"moat: {program} gets no input; to type into it: moat run -i -- {program}\n"
        )


def _discard(store: Store, run: Run) -> None:
    """Remove a run that never began, so that nothing is left of it when its error is shown."""
    with suppress(FileNotFoundError, RunNotFoundError):  # its supervisor has removed it
        try:
            known = store.get(run.id)
        except RunNotFoundError:  # its folder is being deleted
            lock.wait_until_free(store.folder(run.id).supervisor_lock)
            return
        if known.state is State.CREATED:
            _remove_unless_supervised(store, run)
        elif known.state is State.FAILED and known.supervisor_pid is not None:
            _wait_for_removal(known.supervisor_pid)


def _wait_for_removal(supervisor_pid: int) -> None:
    """Wait until the supervisor has removed its run; on a full disk that may take it long."""
    from moat.platform.process import Process  # noqa: PLC0415  for a failed start alone

    with suppress(ProcessLookupError), Process(supervisor_pid) as supervisor:
        supervisor.wait(REMOVAL_S)


def _remove_unless_supervised(store: Store, run: Run) -> None:
    held = lock.try_lock(store.folder(run.id).supervisor_lock)
    if held is None:
        return
    try:
        if store.get(run.id).state is State.CREATED:
            store.remove(run.id)
    finally:
        os.close(held)


def _leave(store: Store, run: Run) -> int:
    """Wait until the command has begun, so that a failure to start is reported here."""
    started = supervisor_of(store, run).get("/v1/run", until="started")
    if started["ports"]:
        _tell_ports(store, run, started["ports"])
    sys.stdout.write(f"{run.name}\n")
    return 0


def _tell_ports(store: Store, run: Run, ports: Iterable[Published]) -> None:
    from moat.cli.published import url_of  # noqa: PLC0415  most runs have no ports
    from moat.ports import router_place  # noqa: PLC0415  as above

    router = router_place.port(store.home)
    for port in ports:
        _tell(f"{port['name']} is at {url_of(run.name, port, router)}")

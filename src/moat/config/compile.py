"""Command line, `agent.yaml` and settings, made into a `RunSpec`.

Every mistake is found here, and the user's consent is asked for, before anything exists.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moat.config import agent_file, names, network
from moat.config.mounts import split_mount
from moat.config.protected_paths import protected_paths
from moat.errors import NameTakenError, UsageError
from moat.ground.check import Surroundings, check_areas
from moat.runs.saved_rules import saved_rules
from moat.spec import Bubblewrap, Limits, Mount, Network, RunId, RunSpec, TerminalSize
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from moat.config.agent_file import Project
    from moat.config.consent import Ask
    from moat.config.settings import Settings
    from moat.runs.store import Run, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of `moat run`; `None` and empty where the command line has no such option."""

    path: str = "."
    command: tuple[str, ...] = ()
    name: str | None = None
    interactive: bool | None = None
    tty: bool = False
    env: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    workdir: str | None = None
    engine: str | None = None
    keep: bool = False
    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None
    timeout: str | None = None
    writable_git: bool = False
    network_policy: str | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    trust_project: bool = False
    """What the project's file opens holds for this run, without a question."""


@dataclass(frozen=True, slots=True)
class HostContext:
    """The terminal and the store from which a run is started."""

    stdin_is_terminal: bool = False
    stdout_is_terminal: bool = False
    size: TerminalSize = field(default_factory=TerminalSize)
    taken_names: Container[str] = field(default_factory=frozenset[str])
    detached: bool = False
    """The run begins without a viewer, so a TTY needs no terminal here."""
    called_by: str = ""
    """The path by which `moat` was started; empty for another program."""
    run_id: str | None = None
    """The run's id, where it has been chosen already."""
    rules: Callable[[str], tuple[str, ...]] = lambda _: ()
    """Returns the rules that the user has saved for a workspace (`--always`)."""
    ask: Ask | None = None
    """Asks the user about what a project's file opens; `None` where nobody can be asked."""


def read_project(options: RunOptions) -> Project:
    """Return the project of a run, without the command that the run doesn't use. Raises `UsageError`."""
    project = agent_file.project_in(_workspace(options.path))
    return project.without_command() if options.command else project


def compile_spec(
    options: RunOptions, settings: Settings, host: HostContext, project: Project
) -> RunSpec:
    """Return the specification of a run. Raises `UsageError` or `NameTakenError`; changes nothing.

    What the project's file opens is taken as agreed to.
    """
    workspace, file = project.folder, project.content
    interactive = _interactive(options, file)
    return RunSpec(
        id=RunId(host.run_id or names.new_id()),
        name=_name(options, file, host.taken_names),
        command=options.command or _command(file, workspace),
        workspace=str(workspace),
        workdir=_workdir(options.workdir),
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        env=file.get("env", {}) | parse_env(options.env),
        bubblewrap=Bubblewrap(
            host_path=os.environ.get("PATH", os.defpath),
            program=settings.programs.get("bwrap", ""),
        ),
        mounts=_mounts(options, file, workspace),
        exclude=tuple(file.get("exclude", ())),
        writable_git=options.writable_git,
        trusted_files=_trusted_files(project, settings),
        protected_paths=tuple(dict.fromkeys((*settings.protected_paths, *protected_paths(file)))),
        interactive=interactive,
        tty=_tty(options, host, interactive=interactive),
        size=host.size,
        limits=_limits(options, file),
        network=_network(options, settings, project, host.rules(str(workspace))),
        engine=_engine(options.engine),
        keep=options.keep,
        timeout=_timeout(options, file),
        stop_timeout=settings.stop_timeout,
        scrollback=settings.scrollback,
        scrollback_memory=settings.scrollback_memory,
        journal_limit=settings.journal_limit,
        notifications=settings.notifications == "pass",
    )


def create_run(store: Store, options: RunOptions, settings: Settings, host: HostContext) -> Run:
    """Compile a specification and add the run to the store, once the user agrees to the project's file.

    A name that wasn't asked for gives way to a free one. Raises `ConsentError` as well.
    """
    project = read_project(options)
    around = Surroundings(
        store=str(store.home),
        environment=os.environ,
        programs=tuple(settings.programs.values()),
        command=host.called_by,
    )
    mounts = _mounts(options, project.content, project.folder)
    check_areas(str(project.folder), mounts, around)
    if project.file is not None:
        from moat.config import consent  # noqa: PLC0415  most folders have no file

        trust = "always" if options.trust_project else settings.trust_project
        consent.require(project, trust, store.home, host.ask)
    while True:
        taken = frozenset(run.name for run in store.all())
        here = replace(host, taken_names=taken, rules=partial(saved_rules, store.home))
        spec = compile_spec(options, settings, here, project)
        try:
            return store.create(spec)
        except NameTakenError:
            # Another process has taken the name in the meantime.
            if options.name is not None:
                raise


def parse_env(variables: Sequence[str]) -> dict[str, str]:
    """Parse options like `K=V`, or `K` for a variable of the caller's. Raises `UsageError`."""
    parsed: dict[str, str] = {}
    for each in variables:
        name, equals, value = each.partition("=")
        if not name:
            raise UsageError(f"{each!r} is not a variable", "Write -e NAME=VALUE or -e NAME")
        if equals:
            parsed[name] = value
        elif name in os.environ:
            parsed[name] = os.environ[name]
        else:
            raise UsageError(f"-e {name}: there is no such variable here", f"Write {name}=VALUE")
    return parsed


def _workspace(path: str) -> Path:
    try:
        resolved = _expanded(path).resolve(strict=True)
        os.listdir(resolved)  # noqa: PTH208  tests the permission to read
    except NotADirectoryError:
        raise UsageError(f"{path} is not a folder", "Name the project's folder") from None
    except OSError as exc:
        raise UsageError(
            f"{path} can't be read: {exc.strerror}",
            "A command goes after --, as in: moat run -- COMMAND",
        ) from None
    return resolved


def _expanded(path: str) -> Path:
    """Expand `~`. Unlike `Path.expanduser`, leave the name of an unknown user as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _interactive(options: RunOptions, file: Mapping[str, Any]) -> bool:
    if options.interactive is None:
        return bool(file.get("interactive", False))
    return options.interactive


def _name(options: RunOptions, file: Mapping[str, Any], taken: Container[str]) -> str:
    if options.name is not None:
        names.check_name(options.name)
        if options.name in taken:
            raise NameTakenError(
                f"a run named {options.name} exists",
                f"Choose another --name, or remove it: moat destroy {options.name}",
            )
        return options.name
    if "name" in file:
        return names.numbered(file["name"], taken)
    return names.new_name(taken)


def _command(file: Mapping[str, Any], workspace: Path) -> tuple[str, ...]:
    command: str | list[str] | None = file.get("command")
    if not command:
        raise UsageError(
            "there is no command to run",
            f"Give one: moat run -- COMMAND, or `command:` in {workspace / 'agent.yaml'}",
        )
    return agent_file.split_command(command)


def _workdir(path: str | None) -> str:
    if path is None:
        return "/workspace"
    return path if path.startswith("/") else os.path.normpath(f"/workspace/{path}")


def _mounts(options: RunOptions, file: Mapping[str, Any], workspace: Path) -> tuple[Mount, ...]:
    """Return the mounts of the project's file, then those of the command line."""
    project = [_project_mount(each, workspace) for each in file.get("mounts", ())]
    return (*project, *(_mount(each, Path.cwd()) for each in options.mounts))


def _project_mount(text: str, workspace: Path) -> Mount:
    mount = _mount(text, workspace)
    # The source may be a symbolic link that leads out of the workspace.
    if not Path(mount.source).resolve().is_relative_to(workspace):
        raise agent_file.outside_workspace(text)
    return mount


def _mount(text: str, folder: Path) -> Mount:
    """Parse a mount and make its source, which is relative to `folder` and must exist, absolute."""
    mount = split_mount(text)
    source = folder / _expanded(mount.source)
    if not source.exists():
        raise UsageError(f"mount source {source} does not exist", "Create it, or correct the path")
    return replace(mount, source=str(source))


def _trusted_files(project: Project, settings: Settings) -> tuple[str, ...]:
    """Return the certificate files that lie below the workspace, by each of their names."""
    workspace = project.folder
    named = network.certificate_files(project.network, settings.network, os.environ)
    places = {Path(os.path.normpath(Path.cwd() / each)) for each in named}  # keeps symbolic links
    places |= {Path(os.path.realpath(each)) for each in places}
    below = (each.relative_to(workspace) for each in places if each.is_relative_to(workspace))
    return tuple(sorted(map(str, below)))


def _tty(options: RunOptions, host: HostContext, *, interactive: bool) -> bool:
    if options.tty and not host.detached:
        if not host.stdout_is_terminal:
            raise UsageError("stdout is not a terminal, but a TTY was asked for", "Leave out -t")
        if interactive and not host.stdin_is_terminal:
            raise UsageError("stdin is not a terminal, but a TTY was asked for", "Leave out -t")
    return options.tty or (interactive and host.stdin_is_terminal and host.stdout_is_terminal)


def _limits(options: RunOptions, file: Mapping[str, Any]) -> Limits:
    limits: dict[str, Any] = file.get("limits", {})
    memory = options.memory or limits.get("memory")
    return Limits(
        memory=None if memory is None else parse_memory(str(memory)),
        cpus=options.cpus or limits.get("cpus"),
        pids=options.pids or limits.get("pids"),
    )


def _timeout(options: RunOptions, file: Mapping[str, Any]) -> float | None:
    timeout = options.timeout or file.get("limits", {}).get("timeout")
    return None if timeout is None else parse_duration(str(timeout))


def _network(
    options: RunOptions, settings: Settings, project: Project, rules: tuple[str, ...]
) -> Network:
    joined = network.join_network(
        project.network,
        settings.network,
        rules,
        policy=options.network_policy,
        allow=options.allow,
        deny=options.deny,
    )
    found = network.with_host_environment(joined, os.environ)
    return replace(found, traffic_limit=settings.traffic_limit)


def _engine(name: str | None) -> str:
    if name not in (None, "bubblewrap"):
        raise UsageError(f"there is no engine {name!r}", "This version has one: bubblewrap")
    return "bubblewrap"

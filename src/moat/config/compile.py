"""Command line, `agent.yaml` and settings, made into a `RunSpec`.

Every mistake is found here, and the user's consent is asked for, before anything exists.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moat import timestamps
from moat.config import (
    agent_file,
    budget,
    environment,
    limits,
    mcp,
    names,
    network,
    ports,
    services,
    snapshots,
    volumes,
)
from moat.config import settings as settings_file
from moat.config.engine_choice import container_section, engine_of
from moat.config.environment import parse_env
from moat.config.granted_hosts import check_hosts, with_grants, with_hosts
from moat.config.protected_paths import protected_paths
from moat.config.run_image import base_image
from moat.config.run_mounts import run_mounts, workspace_folder
from moat.config.workspace_mode import place_of_copy
from moat.errors import NameTakenError, UsageError
from moat.spec import Bubblewrap, Limits, Network, RunId, RunSpec, TerminalSize
from moat.spec.network import HOST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from moat.config.agent_file import Project
    from moat.config.consent import Ask
    from moat.config.kept_secrets import SecretKeeper
    from moat.config.run_agent import RunAgent
    from moat.config.run_image import ImageMaker
    from moat.config.services import ServiceRequest
    from moat.config.settings import Settings
    from moat.config.workspace_mode import WorkspaceCopier
    from moat.spec import Grant, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of `moat run`; `None` and empty where the command line has no such option."""

    path: str = "."
    copy: bool | None = None
    """Work on a copy of the folder, or on the folder itself; `None`: as the files say."""
    command: tuple[str, ...] = ()
    name: str | None = None
    interactive: bool | None = None
    tty: bool = False
    env: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    """Folders that last, in addition to those of the project's file: `NAME:PATH[:ro|rw]`."""
    workdir: str | None = None
    engine: str | None = None
    image: str | None = None
    services: tuple[str, ...] = ()
    """Services, which replace those of files by name: `[NAME=]KIND[@VERSION]`."""
    dependencies: tuple[str, ...] = ()
    """What the image is to have, in addition to what the project's file says."""
    rebuild: bool = False
    """The image is made anew."""
    keep: bool = False
    rm: bool = False
    """Nothing of the run is kept once it has ended."""
    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None
    timeout: str | None = None
    limits: tuple[str, ...] = ()
    """The budget, before those of files: `KEY=VALUE`."""
    writable_git: bool = False
    network_policy: str | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    host_ports: tuple[str, ...] = ()
    """Services on the host's loopback, in addition to those of files: `[NAME:]PORT`."""
    publish: tuple[str, ...] = ()
    """Ports, which replace those of the project's file by name: `[NAME=][HOST:]PORT[:PORT]`."""
    grants: tuple[str, ...] = ()
    """Credentials, in addition to those of the project's file: `PROVIDER[:SCOPE][@PROFILE]`."""
    profile: str = "default"
    """The profile of grants that name none."""
    agent: RunAgent | None = None
    """The agent that is the command."""
    trust_project: bool = False
    """Let everything that the project's file opens hold for this run, without a question."""


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
    volume: Callable[[str, str], str] = volumes.nowhere
    """Returns the folder of a workspace's volume, by its name."""
    grants: Callable[[Iterable[str], str], tuple[Grant, ...]] | None = None
    """Returns the grants that words name, with the profile of those that name none.

    `None` where runs are granted nothing.
    """
    secrets: SecretKeeper | None = None
    """Looks up secrets; `None` where runs have none."""
    copier: WorkspaceCopier | None = None
    """Copies workspaces; `None` where runs can't have copies."""
    service: Callable[[ServiceRequest, Callable[[str], str]], Service] | None = None
    """Completes a service, whose volume has the folder that is returned for its name.

    `None` where runs have none.
    """
    images: ImageMaker | None = None
    """Makes images of dependencies; `None` where runs have none."""
    tell: Callable[[str], None] = lambda _: None
    """Tells the user what had to be done for the run."""
    route: Callable[[], None] = lambda: None
    """Has the router run, before a run with named ports exists."""
    ask: Ask | None = None
    """Asks the user about what a project's file opens; `None` where nobody can be asked."""


def read_project(options: RunOptions) -> Project:
    """Return the project of a run, without the command that the run doesn't use. Raises `UsageError`."""
    project = agent_file.project_in(workspace_folder(options.path))
    return project.without_command() if options.command or options.agent else project


def compile_spec(
    options: RunOptions,
    settings: Settings,
    host: HostContext,
    project: Project,
    grants: tuple[Grant, ...] = (),
) -> RunSpec:
    """Return the specification of a run. Raises `UsageError` or `NameTakenError`; changes nothing.

    What the project's file opens is taken as agreed to. `grants`: what `granted` has returned.
    """
    workspace, file = project.folder, project.content
    interactive = _interactive(options, file)
    bounds, timeout = _limits(options, settings, file)
    image = base_image(options, settings, file)
    run_id = RunId(host.run_id or names.new_id())
    env = _env(options, settings, project)
    opened = _network(options, settings, project, host, grants)
    agent = None
    if options.agent is not None:
        agent = options.agent.start(run_id, str(workspace), grants, env, opened.mcp)
    on_host = {each.variable: f"{HOST_NAME}:{each.port}" for each in opened.host if each.name}
    return RunSpec(
        id=run_id,
        name=_name(options, file, host.taken_names),
        command=agent.command if agent else options.command or _command(file, workspace),
        workspace=str(workspace),
        copy=place_of_copy(
            options.copy, (settings.workspace, file.get("workspace", {})), host.copier, run_id
        ),
        workdir=_workdir(options.workdir),
        created_at=timestamps.now(),
        env={**(agent.env if agent else {}), **on_host, **env},
        secrets=tuple(secrets_of(options, settings, file)),
        bubblewrap=Bubblewrap(
            host_path=os.environ.get("PATH", os.defpath),
            program=settings.programs.get("bwrap", ""),
        ),
        container=container_section(image),
        mounts=run_mounts(options.mounts, settings.mounts, project),
        volumes=volumes.joined(
            file.get("volumes", ()), options.volumes, partial(host.volume, str(workspace))
        ),
        exclude=tuple(file.get("exclude", ())),
        writable_git=options.writable_git,
        trusted_files=_trusted_files(project, settings),
        protected_paths=tuple(dict.fromkeys((*settings.protected_paths, *protected_paths(file)))),
        interactive=interactive,
        tty=_tty(options, host, interactive=interactive),
        size=host.size,
        limits=bounds,
        budget=budget.join(
            options.limits, file.get("limits", {}), settings.limits, settings.prices
        ),
        network=with_hosts(opened, agent.hosts) if agent else opened,
        ports=ports.joined(file.get("ports", {}), options.publish),
        services=_services(options, settings, file, partial(host.volume, str(workspace)), host),
        grants=grants,
        agent=agent.setup if agent else None,
        engine=engine_of(options.engine, image),
        keep=options.keep,
        remove_at_end=_removed_at_end(options),
        timeout=timeout,
        stop_timeout=settings.stop_timeout,
        scrollback=settings.scrollback,
        scrollback_memory=settings.scrollback_memory,
        journal_limit=settings.journal_limit,
        notifications=settings.notifications == "pass",
        pictures=settings.pictures,
        clipboard=settings.clipboard,
        term_program=settings.term_program,
        on_event=settings.on_event,
        notify=settings.notify,
        snapshots=snapshots.rules(settings.snapshots),
    )


def granted(
    options: RunOptions, settings: Settings, host: HostContext, project: Project
) -> tuple[Grant, ...]:
    """Return the grants of a run. Raises `MoatError` for one that can't be had."""
    servers = mcp.grants_of(settings.mcp, project.content.get("mcp", ()))
    names = tuple(dict.fromkeys((*project.content.get("grants", ()), *servers, *options.grants)))
    if options.agent is not None:
        names += options.agent.grants(names, _env(options, settings, project))
    if not names:
        return ()
    if host.grants is None:
        raise UsageError("this program can't grant credentials", "Start the run with moat run")
    return host.grants(names, options.profile)


def secrets_of(options: RunOptions, settings: Settings, file: Mapping[str, Any]) -> dict[str, str]:
    """Return the references to secrets by variable: the user's own, before those of the project.

    A variable of the command line comes before both.
    """
    given = parse_env(options.env, os.environ)
    references = {**file.get("secrets", {}), **settings.secrets}
    return {name: text for name, text in references.items() if name not in given}


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


def _env(options: RunOptions, settings: Settings, project: Project) -> dict[str, str]:
    """Return the variables of the user's settings, of the project and of the command line.

    The later one wins, and what it replaces need not be there.
    """
    given = parse_env(options.env, os.environ)
    sources = (
        (settings.env, settings_file.FILE),
        (project.content.get("env", {}), str(project.file)),
    )
    resolved: dict[str, str] = {}
    replaced = given.keys()
    for variables, origin in reversed(sources):
        wanted = {name: value for name, value in variables.items() if name not in replaced}
        resolved |= environment.resolve(wanted, os.environ, origin)
        replaced |= variables.keys()
    return resolved | given


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


def _limits(
    options: RunOptions, settings: Settings, file: Mapping[str, Any]
) -> tuple[Limits, float | None]:
    given = {name: getattr(options, name) for name in limits.OPTIONS}
    return limits.join(given, file.get("limits", {}), settings.limits)


def _network(
    options: RunOptions,
    settings: Settings,
    project: Project,
    host: HostContext,
    grants: tuple[Grant, ...],
) -> Network:
    entries = project.content.get("mcp", ())
    check_hosts(mcp.hosts_of_grants((*settings.mcp, *entries)), grants)
    users, projects = mcp.servers(settings.mcp), mcp.servers(entries)
    joined = network.join_network(
        mcp.opening(project.network, projects),
        mcp.opening(settings.network, users),
        host.rules(str(project.folder)),
        policy=options.network_policy,
        allow=options.allow,
        deny=options.deny,
        host_ports=options.host_ports,
    )
    theirs = project.network.get("hosts", {}).keys() - settings.network.get("hosts", {}).keys()
    opened = with_grants(joined, grants, theirs)
    found = network.with_host_environment(opened, os.environ)
    return replace(found, traffic_limit=settings.traffic_limit, mcp=mcp.joined(users, projects))


def _services(
    options: RunOptions,
    settings: Settings,
    file: Mapping[str, Any],
    place: Callable[[str], str],
    host: HostContext,
) -> tuple[Service, ...]:
    requests = services.joined(settings.services, file.get("services", {}), options.services)
    if not requests:
        return ()
    if options.engine == "bubblewrap":
        raise UsageError(
            f"bubblewrap runs no services ({', '.join(each.name for each in requests)})",
            "They are containers. Leave them out (--service, services:), or: --engine docker",
        )
    if host.service is None:
        raise UsageError("this program can't have services", "Start the run with moat run")
    found = tuple(host.service(each, place) for each in requests)
    services.check_together(found)
    return found


def _removed_at_end(options: RunOptions) -> bool:
    if options.rm and options.keep:
        raise UsageError("--rm and --keep exclude each other", "Give one of them")
    return options.rm

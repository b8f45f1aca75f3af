"""Command line, `agent.yaml` and settings → `RunSpec`.

Everything that can be wrong is found here, before anything exists.
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
from moat.errors import NameTakenError, UsageError
from moat.runs.saved_rules import remembered_rules
from moat.spec import Limits, Mount, Network, RunId, RunSpec, TerminalSize
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from moat.config.settings import Settings
    from moat.runs.store import Run, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line says; `None` and empty where it says nothing."""

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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the caller's terminal and store are like."""

    stdin_is_terminal: bool = False
    stdout_is_terminal: bool = False
    size: TerminalSize = field(default_factory=TerminalSize)
    taken_names: Container[str] = field(default_factory=frozenset[str])
    detached: bool = False
    """The run begins with nobody watching, so a TTY needs no terminal here."""
    run_id: str | None = None
    """The run's id where it has been chosen already."""
    rules: Callable[[str], tuple[str, ...]] = lambda _: ()
    """What the user said `--always` of a workspace."""


def compile_spec(wishes: Wishes, settings: Settings, around: Surroundings) -> RunSpec:
    """Raises `UsageError` or `NameTakenError`; changes nothing."""
    workspace = _workspace(wishes.path)
    found = agent_file.find(workspace)
    narrowing = not settings.trust_project
    file: dict[str, Any] = {} if found is None else agent_file.load(found, narrowing=narrowing)
    limits: dict[str, Any] = file.get("limits", {})
    interactive = wishes.interactive
    if interactive is None:
        interactive = bool(file.get("interactive", False))
    timeout = wishes.timeout or limits.get("timeout")
    memory = wishes.memory or limits.get("memory")
    return RunSpec(
        id=RunId(around.run_id or names.new_id()),
        name=_name(wishes, file, around.taken_names),
        command=wishes.command or _command(file, workspace),
        workspace=str(workspace),
        workdir=_workdir(wishes.workdir),
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        env=file.get("env", {}) | parse_env(wishes.env),
        host_path=os.environ.get("PATH", os.defpath),
        mounts=(
            *_own_mounts(file, workspace),
            *(mount_of(each, Path.cwd()) for each in wishes.mounts),
        ),
        exclude=tuple(file.get("exclude", ())),
        writable_git=wishes.writable_git,
        trusted_files=_trusted_files(file, settings, workspace),
        interactive=interactive,
        tty=_tty(wishes, around, interactive=interactive),
        size=around.size,
        limits=Limits(
            memory=None if memory is None else parse_memory(str(memory)),
            cpus=wishes.cpus or limits.get("cpus"),
            pids=wishes.pids or limits.get("pids"),
        ),
        network=_network(wishes, settings, file, around.rules(str(workspace))),
        engine=_engine(wishes.engine),
        keep=wishes.keep,
        timeout=None if timeout is None else parse_duration(str(timeout)),
        stop_timeout=settings.stop_timeout,
        scrollback=settings.scrollback,
        journal_limit=settings.journal_limit,
    )


def create_run(store: Store, wishes: Wishes, settings: Settings, around: Surroundings) -> Run:
    """Compiles and enters it. A name that nobody asked for gives way to one that is free."""
    while True:
        taken = frozenset(run.name for run in store.all())
        here = replace(around, taken_names=taken, rules=partial(remembered_rules, store.home))
        spec = compile_spec(wishes, settings, here)
        try:
            return store.create(spec)
        except NameTakenError:
            # Another moat took it since we looked.
            if wishes.name is not None:
                raise


def mount_of(text: str, folder: Path) -> Mount:
    """With its source, which must exist, made absolute: it is relative to `folder`."""
    mount = split_mount(text)
    source = folder / _expanded(mount.source)
    if not source.exists():
        raise UsageError(f"mount source {source} does not exist", "Create it, or correct the path")
    return replace(mount, source=str(source))


def _expanded(path: str) -> Path:
    """With the home for `~`, and as it is for a user who does not exist: `Path.expanduser` raises."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _workspace(path: str) -> Path:
    try:
        resolved = _expanded(path).resolve(strict=True)
        os.listdir(resolved)  # noqa: PTH208  asks for the right to read
    except NotADirectoryError:
        raise UsageError(f"{path} is not a folder", "Name the project's folder") from None
    except OSError as exc:
        raise UsageError(
            f"{path} can't be read: {exc.strerror}",
            "A command goes behind --, as in: moat run -- COMMAND",
        ) from None
    return resolved


def _name(wishes: Wishes, file: dict[str, Any], taken: Container[str]) -> str:
    if wishes.name is not None:
        names.check_name(wishes.name)
        if wishes.name in taken:
            raise NameTakenError(
                f"a run named {wishes.name} exists",
                f"Choose another --name, or remove it: moat destroy {wishes.name}",
            )
        return wishes.name
    if "name" in file:
        return names.numbered(file["name"], taken)
    return names.new_name(taken)


def _command(file: dict[str, Any], workspace: Path) -> tuple[str, ...]:
    given: str | list[str] | None = file.get("command")
    if not given:
        raise UsageError(
            "there is no command to run",
            f"Give one: moat run -- COMMAND, or `command:` in {workspace / 'agent.yaml'}",
        )
    return agent_file.words(given)


def _workdir(given: str | None) -> str:
    if given is None:
        return "/workspace"
    return given if given.startswith("/") else os.path.normpath(f"/workspace/{given}")


def parse_env(given: Sequence[str]) -> dict[str, str]:
    """`K=V`, and `K` for a variable of the caller's own."""
    variables: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name:
            raise UsageError(f"{each!r} is not a variable", "Write -e NAME=VALUE or -e NAME")
        if equals:
            variables[name] = value
        elif name in os.environ:
            variables[name] = os.environ[name]
        else:
            raise UsageError(f"-e {name}: there is no such variable here", f"Write {name}=VALUE")
    return variables


def _own_mounts(file: dict[str, Any], workspace: Path) -> list[Mount]:
    """Of agent.yaml: what they name may be a link that leads out of the workspace."""
    mounts: list[Mount] = []
    for text in file.get("mounts", ()):
        mount = mount_of(text, workspace)
        if not Path(mount.source).resolve().is_relative_to(workspace):
            raise agent_file.outside(text)
        mounts.append(mount)
    return mounts


def _trusted_files(file: dict[str, Any], settings: Settings, workspace: Path) -> tuple[str, ...]:
    """What lies in the workspace of it, by whatever name."""
    named = network.certificate_files(file, settings.network, os.environ)
    places = {Path(os.path.normpath(Path.cwd() / each)) for each in named}  # links stay in it
    places |= {Path(os.path.realpath(each)) for each in places}
    below = (each.relative_to(workspace) for each in places if each.is_relative_to(workspace))
    return tuple(sorted(map(str, below)))


def _network(
    wishes: Wishes, settings: Settings, file: dict[str, Any], remembered: tuple[str, ...]
) -> Network:
    joined = network.network_of(file, settings.network, remembered)
    commanded = network.commanded(
        joined, policy=wishes.network_policy, allow=wishes.allow, deny=wishes.deny
    )
    return network.with_host(commanded, os.environ)


def _tty(wishes: Wishes, around: Surroundings, *, interactive: bool) -> bool:
    if wishes.tty and not around.detached:
        if not around.stdout_is_terminal:
            raise UsageError("stdout is not a terminal, but a TTY was asked for", "Leave out -t")
        if interactive and not around.stdin_is_terminal:
            raise UsageError("stdin is not a terminal, but a TTY was asked for", "Leave out -t")
    return wishes.tty or (interactive and around.stdin_is_terminal and around.stdout_is_terminal)


def _engine(given: str | None) -> str:
    if given not in (None, "bubblewrap"):
        raise UsageError(f"there is no engine {given!r}", "This version has one: bubblewrap")
    return "bubblewrap"

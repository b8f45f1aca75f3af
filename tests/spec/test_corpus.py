"""Specifications that earlier versions of Moat wrote, which are read for ever.

`corpus` has two real files for each stage in the growth of the specification: one in which each field
has another value than its default, and one with nothing but what every run has. They never change.
A new field makes the next stage: give it a value in `FULL`, a default in the stages before, and write
`codec.dumps(FULL)` and `codec.dumps(MINIMAL)` beside the others.
"""

from __future__ import annotations

import os
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from moat import typed_json
from moat.spec import (
    AgentFile,
    AgentSetup,
    Bubblewrap,
    Budget,
    Container,
    EventHook,
    Grant,
    HostService,
    Injection,
    Limits,
    McpServer,
    ModelPrice,
    Mount,
    Network,
    ProtectedPath,
    PublishedPort,
    Readiness,
    Refresh,
    RunId,
    RunSpec,
    SandboxFile,
    Service,
    ServiceVolume,
    Snapshots,
    TerminalSize,
    Timeouts,
    Volume,
    WaitRule,
    codec,
)

CORPUS = Path(__file__).parent / "corpus"

_AGENT = AgentSetup(
    name="claude",
    session="a75affff-0edf-81d0-a9dd-d58403de29f1",
    state="/srv/moat/state/0123456789abcdef/claude",
    folders=(".claude",),
    credentials=(".claude/.credentials.json",),
    files=(AgentFile(path=".claude/.claude.json", content="{}", kind="merged"),),
    guide=".claude/rules/moat.md",
    waiting=(
        WaitRule(
            kind="permission",
            screen=("Do you want to*?",),
            without=("esc to interrupt",),
            lines=9,
            title="Claude",
            notification="needs your permission",
        ),
    ),
)
FULL = RunSpec(
    id=RunId("0123456789ab"),
    name="fix-the-tests",
    command=("printf", "grüß dich", os.fsdecode(b"\xff")),
    workspace="/srv/app",
    copy="/srv/moat/runs/0123456789ab/workspace",
    workdir="/workspace/sub",
    created_at="2026-11-23T08:09:10.123Z",
    env={"LANG": "C.UTF-8", "GREETING": "grüß dich"},
    secrets=("DATABASE_URL",),
    mounts=(Mount("/data", "/data", "ro"), Mount("/srv/cache", "/cache", "rw")),
    volumes=(Volume("cache", "/var/cache", "/srv/moat/volumes/0123456789abcdef/cache", "ro"),),
    exclude=("secrets", "build/out"),
    writable_git=True,
    trusted_files=("certs/company.pem",),
    protected_paths=(ProtectedPath("deploy/*.sh", "our deployment", "watched"),),
    interactive=True,
    tty=True,
    size=TerminalSize(132, 43),
    limits=Limits(1 << 30, 1.5, 256),
    budget=Budget(
        requests=5000,
        bytes_out=1 << 26,
        tokens=2_000_000,
        cost=7.5,
        on_limit="ask",
        prices=(ModelPrice("my-model*", 1.0, 2.5, 0.1, 1.25),),
    ),
    network=Network(
        policy="strict",
        rules=("deny POST *.example.com/admin/**", "allow [2001:db8::1]:8443"),
        allow=("api.example.com",),
        tcp=("db.example.com:5432",),
        passthrough=("pinned.example.com",),
        hosts={"api.example.com": "192.0.2.7"},
        host=(HostService(port=5055, name="mcp"),),
        mcp=(
            McpServer(
                name="issues",
                scheme="https",
                host="mcp.example.com",
                port=8443,
                path="/mcp",
                allow=("get_*", "create team=ENG"),
                deny=("get_secret",),
            ),
        ),
        private=("10.0.0.0/8",),
        upstream_ca="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        project_ca="-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n",
        project_ca_hosts=("deny api.example.com", "allow *.example.com"),
        upstream_proxy="http://user:password@proxy.example.com:3128",
        upstream_http_proxy="http://plain.example.com:8080",
        no_upstream_proxy="localhost,.example.com",
        capture="bodies",
        ask_timeout=20.0,
        traffic_limit=1 << 24,
        timeouts=Timeouts(connect=1.5, tls=2.5, header=3.5, idle=4.5),
    ),
    ports=(PublishedPort(name="web", port=3000, address="127.0.0.1", host_port=8080),),
    services=(
        Service(
            name="db",
            image="postgres:17",
            kind="postgres",
            ports=(5432,),
            env={"POSTGRES_PASSWORD": "{password}"},
            command=("postgres", "-c", "fsync=off"),
            files={"/etc/db.conf": "password = {password}"},
            variables={"URL": "postgresql://{host}:{port}"},
            volume=ServiceVolume(
                name="data", target="/data", folder="/srv/moat/volumes/0123456789abcdef/data"
            ),
            ready=Readiness(
                protocol="postgres", port=5433, path="/health", address="127.0.0.2", timeout=90.0
            ),
            memory=1 << 29,
        ),
    ),
    grants=(
        Grant(
            provider="ssh",
            scope="git.example.com",
            profile="work",
            injections=(
                Injection(
                    hosts=("api.example.com",),
                    ports=(8443,),
                    methods=("GET",),
                    paths=("/v1/**",),
                    kind="query",
                    name="key",
                    value="{key}",
                    replace=True,
                ),
            ),
            placeholders={"key": "placeholder-0001"},
            env={"EXAMPLE_KEY": "placeholder-0001"},
            files=(SandboxFile(path=".example", content="key=placeholder-0001"),),
            hosts=("files.example.com",),
            tcp=("git.example.com:22",),
            account="me",
            refresh=Refresh(
                token_url="https://auth.example.com/token",
                client_id="moat",
                client_secret="known-to-all",
                json_body=True,
            ),
            agent="/run/user/1000/agent.sock",
        ),
    ),
    agent=_AGENT,
    engine="another",
    bubblewrap=Bubblewrap(host_path="/usr/bin:/opt/tools/bin", program="/opt/tools/bin/bwrap"),
    container=Container(image="debian:stable", variables={"DOCKER_HOST": "unix:///run/d.sock"}),
    keep=True,
    remove_at_end=True,
    timeout=5400.0,
    stop_timeout=2.5,
    scrollback=500,
    scrollback_memory=1 << 25,
    journal_limit=1 << 20,
    notifications=False,
    pictures=False,
    clipboard="drop",
    term_program="iTerm.app",
    on_event=(EventHook(command=("/opt/tools/tell", "--now"), events=("waiting_changed",)),),
    notify="desktop",
    snapshots=Snapshots(on=("turn",), keep=5, max_age=86400.0, limit=1 << 20),
)
MINIMAL = RunSpec(
    id=RunId("ba9876543210"),
    name="plain",
    command=("true",),
    workspace="/srv/plain",
    created_at="2026-11-23T07:00:00.000Z",
)

_MCP = replace(FULL, services=())
_BUDGETS = replace(_MCP, network=replace(FULL.network, mcp=()))
_SNAPSHOTS = replace(_BUDGETS, budget=Budget())
_COPIES = replace(_SNAPSHOTS, snapshots=Snapshots())
_WAITING = replace(_COPIES, copy="", volumes=())
_PORTS = replace(_WAITING, agent=replace(_AGENT, waiting=()), on_event=(), notify="off")
_AGENTS = replace(_PORTS, ports=(), network=replace(_PORTS.network, host=()))
_ENGINES = replace(_AGENTS, agent=None)
_GRANTS = replace(_ENGINES, container=Container())
_SCROLLBACK = replace(
    _GRANTS,
    grants=(),
    secrets=(),
    pictures=True,
    clipboard="ask",
    term_program="",
    remove_at_end=False,
)
_TRUST = replace(_SCROLLBACK, scrollback_memory=MINIMAL.scrollback_memory)
# A project's authorities were trusted for every host, like the user's.
_ENGINE_SECTIONS = replace(
    _TRUST,
    notifications=MINIMAL.notifications,
    protected_paths=(),
    bubblewrap=replace(FULL.bubblewrap, program=""),
    network=replace(
        _AGENTS.network,
        project_ca="",
        project_ca_hosts=(),
        traffic_limit=MINIMAL.network.traffic_limit,
    ),
)
_PLAIN_PROXY = replace(_ENGINE_SECTIONS, trusted_files=())
_NETWORK = replace(
    _PLAIN_PROXY,
    # Plain HTTP had no proxy of its own, and went through the one.
    network=replace(_PLAIN_PROXY.network, upstream_http_proxy=_PLAIN_PROXY.network.upstream_proxy),
)
_ESCAPED = replace(_NETWORK, network=Network())
STAGES = {
    "1-first": replace(_ESCAPED, command=FULL.command[:2]),
    "2-escaped": _ESCAPED,
    "3-network": _NETWORK,
    "4-plain-proxy": _PLAIN_PROXY,
    "5-trusted-files": _ENGINE_SECTIONS,
    "6-engine-sections": _ENGINE_SECTIONS,
    "7-trust": _TRUST,
    "8-scrollback": _SCROLLBACK,
    "9-grants": _GRANTS,
    "10-engines": _ENGINES,
    "11-agents": _AGENTS,
    "12-ports": _PORTS,
    "13-waiting": _WAITING,
    "14-copies": _COPIES,
    "15-snapshots": _SNAPSHOTS,
    "16-budgets": _BUDGETS,
    "17-mcp": _MCP,
    "18-services": FULL,
}
EXPECTED = {f"{stage}-full.json": spec for stage, spec in STAGES.items()} | {
    f"{stage}-minimal.json": MINIMAL for stage in STAGES
}
NEWEST = list(STAGES)[-1]

REQUIRED = {
    RunSpec: {"id", "name", "command", "workspace", "created_at"},
    Mount: {"source", "target"},
    Volume: {"name", "target", "folder"},
    ProtectedPath: {"path"},
    PublishedPort: {"name", "port"},
    Service: {"name", "image"},
    ServiceVolume: {"name", "target", "folder"},
    Grant: {"provider"},
    HostService: {"port"},
    McpServer: {"name", "scheme", "host", "port", "path"},
    Injection: {"hosts"},
    SandboxFile: {"path", "content"},
    AgentSetup: {"name"},
    ModelPrice: {"model", "input", "output"},
    WaitRule: {"kind"},
    EventHook: {"command", "events"},
    AgentFile: {"path", "content"},
    Refresh: {"token_url"},
}
"""Fields without a default, all of them as old as their class."""


def text_of(name: str) -> str:
    return (CORPUS / name).read_text()


def kinds(annotation: object) -> list[type]:
    """Return the dataclasses in an annotation, the outer ones first."""
    found = [each for part in get_args(annotation) for each in kinds(part)]
    if isinstance(annotation, type) and is_dataclass(annotation):
        found = [annotation, *found]
        for hint in get_type_hints(annotation).values():
            found += kinds(hint)
    return list(dict.fromkeys(found))


def test_every_file_of_the_corpus_is_known() -> None:
    """A file that is added or lost is noticed."""
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_earlier_specification_is_read_as_it_was_meant(name: str) -> None:
    """This Moat takes over a run of an earlier one with everything that was asked for."""
    assert codec.loads(text_of(name)) == EXPECTED[name]


@pytest.mark.parametrize(("size", "spec"), [("full", FULL), ("minimal", MINIMAL)])
def test_the_newest_stage_is_what_is_written_today(size: str, spec: RunSpec) -> None:
    """A change of the specification makes a new stage; hint: see the top of this file."""
    assert text_of(f"{NEWEST}-{size}.json") == codec.dumps(spec)


def test_the_fullest_specification_leaves_nothing_at_its_default() -> None:
    """Otherwise the corpus wouldn't show that a field is read at all."""
    assert FULL.agent is not None
    assert FULL.services[0].volume is not None
    parts = (
        FULL,
        FULL.mounts[0],
        FULL.volumes[0],
        FULL.protected_paths[0],
        FULL.ports[0],
        FULL.services[0],
        FULL.services[0].volume,
        FULL.services[0].ready,
        FULL.grants[0],
        FULL.grants[0].injections[0],
        FULL.grants[0].files[0],
        FULL.grants[0].refresh,
        FULL.agent,
        FULL.agent.files[0],
        FULL.agent.waiting[0],
        FULL.on_event[0],
        FULL.limits,
        FULL.budget,
        FULL.budget.prices[0],
        FULL.size,
        FULL.bubblewrap,
        FULL.container,
        FULL.network,
        FULL.network.host[0],
        FULL.network.mcp[0],
        FULL.network.timeouts,
        FULL.snapshots,
    )
    assert {type(part) for part in parts} == set(kinds(RunSpec))
    for part in parts:
        for each in fields(part):
            default = each.default if each.default_factory is MISSING else each.default_factory()
            assert getattr(part, each.name) != default, f"{type(part).__name__}.{each.name}"


@pytest.mark.parametrize("kind", kinds(RunSpec))
def test_every_field_that_came_later_has_a_default(kind: type) -> None:
    """Without it, no run that is alive could be taken over after an update.

    Hint: give the field a default. Only a new class may have fields without one.
    """
    without = {
        each.name
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    }
    assert without == REQUIRED.get(kind, set())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A part with fields that can't be left out."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class LaterSection:
    """A section for one engine."""

    image: str = ""
    user: str | None = None
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterRunSpec(RunSpec):
    """A specification to which a section with nested parts was added."""

    later: LaterSection = LaterSection()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_section_is_added_without_harm_to_earlier_runs(name: str) -> None:
    """It takes a nested class with a default, and neither a table nor a list of exceptions."""
    later = typed_json.read(LaterRunSpec, codec.current_fields(text_of(name)))
    assert later.later == LaterSection()
    known = {each.name: getattr(later, each.name) for each in fields(RunSpec)}
    assert RunSpec(**known) == EXPECTED[name]


def test_an_added_section_is_read_in_full_and_in_part() -> None:
    """A section may grow as well, and is as strict as the rest."""
    given = codec.current_fields(codec.dumps(MINIMAL))
    section = {"image": "debian", "endpoints": [{"name": "web", "port": 8000}]}
    later = typed_json.read(LaterRunSpec, given | {"later": section})
    assert later.later == LaterSection("debian", None, (Endpoint("web", 8000),))
    half = {"endpoints": [{"name": "web"}]}
    with pytest.raises(ValueError, match="Endpoint lacks port"):
        typed_json.read(LaterRunSpec, given | {"later": half})

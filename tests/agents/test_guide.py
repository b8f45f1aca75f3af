"""The guide says what holds in a run, and nothing that a project could use to say more."""

from __future__ import annotations

from dataclasses import replace

from moat.agents.guide import guide
from moat.spec import (
    AgentSetup,
    Budget,
    Grant,
    HostService,
    Injection,
    McpServer,
    Network,
    PublishedPort,
    RunId,
    RunSpec,
    Service,
)

SPEC = RunSpec(
    id=RunId("0123456789ab"),
    name="fix",
    command=("claude",),
    workspace="/srv/app",
    created_at="2026-11-23T08:09:10.123Z",
    network=Network(
        policy="strict",
        rules=("deny denied.example",),
        allow=("allowed.example",),
        tcp=("db.example:5432",),
        passthrough=("pinned.example",),
    ),
    grants=(Grant(provider="github", injections=(Injection(hosts=("api.github.com",)),)),),
    agent=AgentSetup(name="claude", state="/srv/state", folders=(".claude",)),
)


def test_it_tells_the_policy_the_credentials_and_what_lasts() -> None:
    """The agent learns how to ask for more, by the name of its run."""
    text = guide(SPEC, ["allow new.example"])
    assert "`moat allow fix HOST`" in text
    assert "- github: api.github.com" in text
    assert "`~/.claude` last" in text
    rules = ["allow new.example", "deny denied.example", "allow allowed.example"]
    places = [text.index(f"- `{each}`") for each in rules]
    assert places == sorted(places)
    assert "db.example:5432 (raw TCP)" in text
    assert "pinned.example (TLS" in text
    assert "No other host may be reached." in text


def test_it_tells_which_names_exist() -> None:
    """Under `strict` those alone that a rule allows."""
    assert "A name that no rule allows doesn't exist." in guide(SPEC)
    open_ = replace(SPEC, network=Network())
    assert "A name always resolves" in guide(open_)


def test_it_tells_the_mcp_servers() -> None:
    """The agent learns which tools it may call, before it tries."""
    server = McpServer(
        name="issues", scheme="https", host="a.example", port=443, path="/mcp", allow=("get_*",)
    )
    text = guide(replace(SPEC, network=replace(SPEC.network, mcp=(server,))))
    assert "- issues, at https://a.example:443/mcp; tools: get_*\n" in text
    assert "## MCP" not in guide(SPEC)


def test_it_tells_the_ports() -> None:
    """The agent learns at which ports the user can see its servers, and where the URL is."""
    text = guide(replace(SPEC, ports=(PublishedPort(name="web-1", port=3000),)))
    assert "- 3000, called web-1: for the user it is at the URL in `$MOAT_URL_WEB_1`" in text
    assert "## Ports" not in guide(SPEC)


def test_it_tells_the_services() -> None:
    """The agent learns where they are; passwords are in its variables alone."""
    text = guide(
        replace(SPEC, services=(Service(name="my-db", image="postgres:17", ports=(5432,)),))
    )
    assert "- my-db (postgres:17) at port 5432: `$MOAT_MY_DB_URL`" in text
    assert "## Services" not in guide(SPEC)


def test_it_tells_the_services_of_the_host() -> None:
    """The agent learns their names."""
    network = Network(host=(HostService(port=5432), HostService(port=5055, name="mcp")))
    text = guide(replace(SPEC, network=network))
    assert "- `allow host.moat:5432 (a service of the user's machine)`" in text
    assert "- `allow host.moat:5055 (a service of the user's machine, called mcp)`" in text


def test_it_tells_the_limits() -> None:
    """The agent can make do with what there is, and knows what follows."""
    text = guide(replace(SPEC, budget=Budget(tokens=2_000_000, cost=5.0, on_limit="stop")))
    assert "a limit of 2,000,000 tokens, $5.00 in all" in text
    assert "the run is stopped" in text
    assert "## Limits" not in guide(SPEC)


def test_it_tells_less_where_there_is_less() -> None:
    """Without state, grants and rules, those parts are missing."""
    setup = AgentSetup(name="claude")
    text = guide(replace(SPEC, grants=(), network=Network(), agent=setup))
    assert "nothing outside `/workspace` lasts" in text
    assert "Credentials" not in text
    assert "Every other host may be reached." in text
    assert "nothing outside" in guide(replace(SPEC, agent=None))


def test_it_stays_short_and_printable() -> None:
    """A project with thousands of rules, or with odd characters in one, doesn't fill the context."""
    rules = tuple(f"allow host{number}.example" for number in range(1000))
    text = guide(replace(SPEC, network=Network(rules=("allow \x1b[2J", *rules))))
    assert "- and 941 more" in text
    assert "\x1b" not in text
    assert len(text) < 8000

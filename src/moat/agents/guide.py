"""The guide to its sandbox that an agent reads. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.printable import printable
from moat.spec.budget import BUDGET_LIMITS, in_words
from moat.spec.network import HOST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moat.spec import Budget, HostService, Network, RunSpec, Service

_HEAD: Final = """\
# Your sandbox

You work in a sealed sandbox, made by Moat for the run `{name}`. Moat has written this file, and
writes it anew when the rules change. It holds for every command that you run.

## Files

- `/workspace` is the user's own project, not a copy. What you change there is changed.
- Paths that programs of the host obey are read-only, such as `.git/config`, `.git/hooks`, `agent.yaml`
  and `.envrc`. Commits, branches and merges work as usual.
- {lasting}
- Programs of the system are read-only. Install packages into the project or into your home folder.

## Network

Every connection goes through Moat's proxy, which records it; no variables have to be set. Ports other
than 80 and 443 are closed unless a rule below opens them. There is no UDP.

"""
_DENIALS: Final = """\

What is denied looks like this: an HTTP request is answered with status 403 and one line that begins
with `moat:` and says why. A TLS connection that can't be answered is closed, and a closed port refuses
at once. {names}

Nothing in here can change the rules, so don't look for a way around them. Tell the user which host you
need and what for. They allow it, for this run at once, with: `moat allow {name} HOST`
"""
_RESOLVED: Final = (
    "A name always resolves, to an address of 198.18.0.0/15: that tells nothing about whether it may\n"
    "be reached."
)
_RESOLVED_STRICTLY: Final = (
    "A name that no rule allows doesn't exist. One that exists has an address of 198.18.0.0/15, which\n"
    "tells nothing more."
)
_POLICIES: Final = {
    "permissive": "Every other host may be reached.",
    "strict": "No other host may be reached.",
    "ask": "For every other host the user is asked, while the request waits.",
}
_CONSEQUENCES: Final = {
    "ask": "every request waits for the user",
    "deny": "every request is denied",
    "stop": "the run is stopped",
}
_MOST_RULES: Final = 60


def guide(spec: RunSpec, additions: Sequence[str] = ()) -> str:
    """Return the text. `additions`: rules that were given while the run ran, newest first."""
    return "\n".join(
        (
            _HEAD.format(name=spec.name, lasting=_lasting(spec)).rstrip("\n"),
            "",
            *_rules(spec.network, additions),
            _DENIALS.format(
                name=spec.name,
                names=_RESOLVED_STRICTLY if spec.network.policy == "strict" else _RESOLVED,
            ),
            *_limits(spec.budget),
            *_servers(spec.network),
            *_services(spec.services),
            *_ports(spec),
            *_credentials(spec),
        )
    )


def _lasting(spec: RunSpec) -> str:
    agent = spec.agent
    if agent is None or not agent.state:
        return "Your home folder is this run's alone: nothing outside `/workspace` lasts."
    folders = ", ".join(f"`~/{each}`" for each in agent.folders)
    return f"Of your home folder, {folders} last for later runs of this project; the rest doesn't."


def _rules(network: Network, additions: Sequence[str]) -> Iterator[str]:
    rules = [*additions, *network.rules, *(f"allow {each}" for each in network.allow)]
    rules += [f"allow {each} (raw TCP)" for each in network.tcp]
    rules += [
        f"allow {HOST_NAME}:{each.port} (a service of the user's machine{_called(each)})"
        for each in network.host
    ]
    rules += [f"allow {each} (TLS, not looked into)" for each in network.passthrough]
    if rules:
        yield "The first of these rules that matches a request decides about it:"
        yield ""
        yield from (f"- `{printable(each)}`" for each in rules[:_MOST_RULES])
        if len(rules) > _MOST_RULES:
            yield f"- and {len(rules) - _MOST_RULES} more"
        yield ""
    yield _POLICIES[network.policy]


def _called(service: HostService) -> str:
    return f", called {service.name}" if service.name else ""


def _limits(budget: Budget) -> Iterator[str]:
    amounts = [
        in_words(name, amount)
        for name in BUDGET_LIMITS
        if (amount := getattr(budget, name)) is not None
    ]
    if not amounts:
        return
    yield "## Limits"
    yield ""
    yield (
        f"This run began with a limit of {', '.join(amounts)} in all. When it is used up,"
        f" {_CONSEQUENCES[budget.on_limit]}. The user can raise it."
    )
    yield ""


def _servers(network: Network) -> Iterator[str]:
    if not network.mcp:
        return
    yield "## MCP servers"
    yield ""
    yield "You have these. A call that is denied is answered by a line that begins with `moat:`."
    yield ""
    for server in network.mcp:
        allowed = f"; tools: {printable(', '.join(server.allow))}" if server.allow else ""
        denied = f"; not: {printable(', '.join(server.deny))}" if server.deny else ""
        yield f"- {server.name}, at {server.url}{allowed}{denied}"
    yield ""


def _services(services: Sequence[Service]) -> Iterator[str]:
    if not services:
        return
    yield "## Services"
    yield ""
    yield "These run beside you, in this network. Variables have their addresses and passwords:"
    yield ""
    for each in services:
        where = f"at port {each.ports[0]}: `${each.variables_prefix}URL`"
        yield f"- {each.name} ({printable(each.image)}) {where}"
    yield ""


def _ports(spec: RunSpec) -> Iterator[str]:
    if not spec.ports:
        return
    yield "## Ports"
    yield ""
    yield "The user can open what listens on these ports in here, and nothing else:"
    yield ""
    for port in spec.ports:
        yield f"- {port.port}, called {port.name}: for the user it is at the URL in `${port.variable}`"
    yield ""


def _credentials(spec: RunSpec) -> Iterator[str]:
    if not spec.grants:
        return
    yield "## Credentials"
    yield ""
    yield (
        "What looks like a key or a token in here is a placeholder. The proxy puts the real one into"
        " requests to these hosts, and nowhere else; use the placeholders as if they were real."
    )
    yield ""
    for grant in spec.grants:
        hosts = dict.fromkeys(host for each in grant.injections for host in each.hosts)
        where = ", ".join(hosts) or grant.scope
        yield f"- {printable(grant.name)}: {printable(where)}"
    yield ""

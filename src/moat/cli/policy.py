"""`moat policy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moat.cli.arguments import ask, find, run_argument
from moat.cli.output import print_json
from moat.errors import RunNotActiveError, UsageError
from moat.paths import moat_home
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.runs.store import Run


class _RunOrTest(click.Group):
    """`moat policy RUN`, and `moat policy test FILE METHOD URL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {"test", "show", "-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(
    "policy",
    cls=_RunOrTest,
    subcommand_metavar="[RUN [--json] | test FILE METHOD URL]",
)
def command() -> None:
    """Show what a run may reach, or explain a decision."""


@command.command("show", hidden=True)
@run_argument()
@click.option("--json", "as_json", is_flag=True, help="One object.")
def show(run: str | None, *, as_json: bool) -> None:
    """Show the policy in force, and who waits for an answer."""
    with Store() as store:
        found = find(store, run)
        policy = _in_force(store, found)
    if as_json:
        print_json(policy)
    else:
        sys.stdout.write(_drawn(policy))


@command.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("method")
@click.argument("url")
def test(file: Path, method: str, url: str) -> None:
    """Say what an agent.yaml, under the user's own settings, decides about a request, and why.

    Exit code 0: allowed. 1: denied, or the user would be asked.
    """
    from moat.config import agent_file, network, settings  # noqa: PLC0415  YAML, for this alone
    from moat.egress.policy import Policy, Verdict  # noqa: PLC0415  `show` needs none

    user = settings.load(moat_home()).network
    policy = Policy(network.network_of(agent_file.load(file), user))
    host, port, path = _parts(url)
    decision = policy.decide(method.upper(), host, port, path)
    click.echo(f"{_WORDS[str(decision.verdict)]}: {decision.rule}")
    if decision.reason:
        click.echo(decision.reason)
    if decision.verdict is not Verdict.ALLOW:
        click.get_current_context().exit(1)


_WORDS = {"allow": "allowed", "deny": "denied", "ask": "asks the user"}


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port and path of a URL."""
    from urllib.parse import urlsplit  # noqa: PLC0415  as above

    from moat.spec.hosts import canonical_host  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = canonical_host(parts.hostname or "")
    except (KeyError, ValueError):
        raise UsageError(f"{url!r} is not a URL", "Write https://host/path") from None
    query = f"?{parts.query}" if parts.query else ""
    return host, port, (parts.path or "/") + query


def _in_force(store: Store, run: Run) -> dict[str, Any]:
    if not run.ended:
        try:
            return ask(store, run).get("/v1/policy")
        except RunNotActiveError:  # it has just ended
            pass
    from moat.egress.kept import read_rules  # noqa: PLC0415  a live run is asked itself
    from moat.egress.policy import Policy  # noqa: PLC0415

    network = store.spec(run.id).network
    return Policy(network, read_rules(store.folder(run.id).additions)).as_json() | {
        "waiting": [],
        "waiting_count": 0,
    }


_MODES = {
    "permissive": "any host",
    "strict": "denied",
    "ask": "the user is asked",
}


def _drawn(policy: dict[str, Any]) -> str:
    lines = [f"{rule}    (given while it ran)" for rule in policy["additions"]]
    lines += policy["rules"]
    lines += [f"tcp {each}" for each in policy["tcp"]]
    lines += [f"passthrough {each}" for each in policy["passthrough"]]
    lines += [f"private {each}" for each in policy["private"]]
    lines += [f"host {name} is at {address}" for name, address in policy["hosts"].items()]
    lines.append(f"otherwise: {_MODES[policy['policy']]}    (policy: {policy['policy']})")
    lines += map(_question, policy["waiting"])
    more = policy["waiting_count"] - sum(each["count"] for each in policy["waiting"])
    if more:
        lines.append(f"waits for an answer: {more} more")
    return "\n".join(lines) + "\n"


def _question(waiting: dict[str, Any]) -> str:
    """As a rule about it would be written. The path is the sandbox's, and may be anything."""
    from moat.cli.traced import shown  # noqa: PLC0415  nearly always nobody waits

    request = f"{waiting['method']} {waiting['host']}:{waiting['port']}{waiting['path']}"
    times = f"    ({waiting['count']} times)" if waiting["count"] > 1 else ""
    return f"waits for an answer: {shown(request)}{times}"

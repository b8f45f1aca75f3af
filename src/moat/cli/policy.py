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
    """`moat policy RUN`, and what else is asked or said of policies."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(
    "policy",
    cls=_RunOrTest,
    subcommand_metavar="[RUN [--json] | test | remembered | forget]",
)
def command() -> None:
    """Show what a run may reach, explain a decision, or show and forget what holds --always."""


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
    """Say what a run under this agent.yaml would decide about a request, and why.

    With the user's own settings, and what is remembered for the file's folder. Exit code 0: allowed.
    1: denied, or the user would be asked.
    """
    from moat.cli.explained import decision_on  # noqa: PLC0415  YAML, for this alone

    words, allowed = decision_on(file, method, url)
    click.echo(words)
    if not allowed:
        click.get_current_context().exit(1)


@command.command("remembered")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--all", "everywhere", is_flag=True, help="Of every folder.")
def remembered(path: Path, *, everywhere: bool) -> None:
    """Show the rules that were given --always to runs of the folder PATH (default: here).

    The first that matches decides, before all that agent.yaml and settings say.
    """
    from moat.runs.saved_rules import all_saved_rules  # noqa: PLC0415  for these two alone

    known = all_saved_rules(moat_home())
    here = str(path.resolve())
    for folder, rules in known.items() if everywhere else [(here, known.get(here, []))]:
        lines = [folder, *(f"  {rule}" for rule in rules)] if everywhere else rules
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    if not known if everywhere else here not in known:
        sys.stderr.write("moat: nothing is remembered" + ("\n" if everywhere else f" for {here}\n"))


@command.command("forget")
@click.argument("rule", nargs=-1, metavar="[RULE]")
@click.option(
    "--path", type=click.Path(path_type=Path), default=".", help="The folder; default: here."
)
@click.option("--all", "everything", is_flag=True, help="All that is remembered for the folder.")
def forget(rule: tuple[str, ...], *, path: Path, everything: bool) -> None:
    """Forget a rule that was given --always. Runs that have begun with it keep it."""
    from moat.runs.saved_rules import forget_rules  # noqa: PLC0415  as above

    if bool(rule) is everything:
        raise UsageError("a rule is expected, or --all", "See: moat policy remembered")
    folder = str(path.resolve())
    wanted = " ".join(" ".join(rule).split())
    with Store() as store:
        forgotten = forget_rules(store.home, folder, None if everything else wanted)
    if not forgotten and not everything:
        raise UsageError(
            f"{wanted!r} is not remembered for {folder}", "See: moat policy remembered"
        )
    for each in forgotten:
        click.echo(f"{each}: forgotten for later runs of {folder}")


def _in_force(store: Store, run: Run) -> dict[str, Any]:
    if not run.ended:
        try:
            return ask(store, run).get("/v1/policy")
        except RunNotActiveError:  # it has just ended
            pass
    from moat.egress.persistence import read_rules  # noqa: PLC0415  a live run is asked itself
    from moat.egress.policy.engine import Policy  # noqa: PLC0415

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
    from moat.cli.trace_text import printable  # noqa: PLC0415  nearly always nobody waits

    request = f"{waiting['method']} {waiting['host']}:{waiting['port']}{waiting['path']}"
    times = f"    ({waiting['count']} times)" if waiting["count"] > 1 else ""
    return f"waits for an answer: {printable(request)}{times}"

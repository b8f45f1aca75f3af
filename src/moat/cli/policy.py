"""`moat policy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moat.cli.arguments import run_argument
from moat.cli.found import find, supervisor_of
from moat.cli.grant import profile_option
from moat.cli.output import print_json
from moat.errors import RunNotActiveError, UsageError
from moat.paths import moat_home
from moat.printable import printable
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.runs.store import Run


class _RunOrTest(click.Group):
    """A group whose command `show` needs no name: `moat policy RUN`."""

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
    """Show what a run may reach, explain a decision, or list and forget the rules given --always."""


@command.command("show", hidden=True)
@run_argument()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(run: str | None, *, as_json: bool) -> None:
    """Show the policy in force, and the requests that wait for an answer."""
    with Store() as store:
        found = find(store, run)
        policy = _in_force(store, found)
    if as_json:
        print_json(policy)
    else:
        sys.stdout.write(_render(policy))


@command.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("method")
@click.argument("url")
@click.option(
    "--grant", "grants", multiple=True, metavar="PROVIDER", help="A grant, as with moat run."
)
@profile_option
def test(file: Path, method: str, url: str, *, grants: tuple[str, ...], profile: str) -> None:
    """Say what a run with this agent.yaml would decide about a request, and why.

    With grants, it says which credential the request would use, too.
    Your own settings count, and the rules that are remembered for the file's folder. What the file opens
    counts as if you had agreed to it; if you haven't, that is said on stderr (see moat trust). The exit
    code is 0 if the request is allowed, 1 if it is denied or you would be asked.
    """
    from moat.cli.explained import decision_on  # noqa: PLC0415  it loads YAML, which nothing else here needs

    words, allowed = decision_on(file, method, url, grants, profile)
    click.echo(words)
    if not allowed:
        click.get_current_context().exit(1)


@command.command("remembered")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--all", "everywhere", is_flag=True, help="Show the rules of every folder.")
def remembered(path: Path, *, everywhere: bool) -> None:
    """Show the rules that were given --always to runs of the folder PATH (default: here).

    The first one that matches decides, before all rules of agent.yaml and your settings.
    """
    from moat.runs.saved_rules import all_saved_rules  # noqa: PLC0415  only two commands need it

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
    "--path", type=click.Path(path_type=Path), default=".", help="The folder (default: here)."
)
@click.option("--all", "everything", is_flag=True, help="Forget all rules of the folder.")
def forget(rule: tuple[str, ...], *, path: Path, everything: bool) -> None:
    """Forget a rule that was given --always. Runs that have started with it keep it."""
    from moat.runs.saved_rules import forget_rules  # noqa: PLC0415  as above

    if bool(rule) is everything:
        raise UsageError("give a rule, or --all", "See: moat policy remembered")
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
            return supervisor_of(store, run).get("/v1/policy")
        except RunNotActiveError:  # it has just ended
            pass
    from moat.egress.persistence import read_rules  # noqa: PLC0415  only for a run that has ended
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


def _render(policy: dict[str, Any]) -> str:
    lines = [f"{rule}    (given while it ran)" for rule in policy["additions"]]
    lines += policy["rules"]
    lines += [f"tcp {each}" for each in policy["tcp"]]
    lines += [f"passthrough {each}" for each in policy["passthrough"]]
    lines += [f"host.moat:{each} is port {each} of this machine" for each in policy.get("host", ())]
    lines += [f"private {each}" for each in policy["private"]]
    lines += [f"host {name} is at {address}" for name, address in policy["hosts"].items()]
    lines.append(f"otherwise: {_MODES[policy['policy']]}    (policy: {policy['policy']})")
    lines += map(_question, policy["waiting"])
    more = policy["waiting_count"] - sum(each["count"] for each in policy["waiting"])
    if more:
        lines.append(f"waits for an answer: {more} more")
    return "\n".join(lines) + "\n"


def _question(waiting: dict[str, Any]) -> str:
    """Show a question in the form of a rule. The path comes from the sandbox, and may be anything."""
    request = f"{waiting['method']} {waiting['host']}:{waiting['port']}{waiting['path']}"
    times = f"    ({waiting['count']} times)" if waiting["count"] > 1 else ""
    return f"waits for an answer: {printable(request)}{times}"

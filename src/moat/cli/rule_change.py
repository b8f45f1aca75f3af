"""The common part of `moat allow` and `moat deny`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.cli.found import supervisor_of
from moat.errors import RunNotActiveError
from moat.runs.imported import check_own
from moat.runs.store import Store
from moat.spec.rules import Rule

if TYPE_CHECKING:
    from moat.runs.store import Run


def add_rule(verdict: str, run: str, words: tuple[str, ...], *, always: bool) -> str:
    """Put a rule before all others of a run, and of later runs with `always`; return the report."""
    rule = Rule.parse(f"{verdict} {' '.join(words)}")
    with Store() as store:
        found = store.find(run)
        check_own(found, "there is no policy of it to change")
        report = _add_to_run(store, found, rule, always=always)
        if always:
            from moat.runs.saved_rules import save_rule  # noqa: PLC0415  for --always alone

            save_rule(store.home, found.workspace, rule.text)
    return f"{rule.text}: {report}"


def _add_to_run(store: Store, run: Run, rule: Rule, *, always: bool) -> str:
    """Add the rule to the run, unless it has ended: that only matters if the rule is for it alone."""
    later = f"to later runs of {run.workspace}"
    text = rule.text.removeprefix(rule.action).strip()
    try:
        if run.ended:
            raise RunNotActiveError(
                f"run {run.name} is {run.state}: its policy decides nothing any more",
                "For later runs of its folder, add --always; for the next one: moat run --allow HOST",
            )
        answer = supervisor_of(store, run).post("/v1/policy", verdict=rule.action, rule=text)
    except RunNotActiveError:
        if not always:
            raise
        return f"applies {later}; {run.name} has ended"
    report = f"applies to {run.name} from now on"
    if always:
        report += f", and {later}"
    if answered := answer["answered"]:
        report += f"; {answered} waiting request{'' if answered == 1 else 's'} answered"
    if rule.action == "allow" and rule.port in answer["missed"]:
        report += (
            f". But a program of the run listens on port {rule.port} itself, so connections to that "
            "port end there. Once it no longer does, allow the port again"
        )
    return report

"""What `moat allow` and `moat deny` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.cli.arguments import ask
from moat.errors import RunNotActiveError
from moat.runs.store import Store
from moat.spec.rules import Rule

if TYPE_CHECKING:
    from moat.runs.store import Run


def amend(verdict: str, run: str, words: tuple[str, ...], *, always: bool) -> str:
    """Puts the rule before all others of a run, and of later ones; what to tell the user."""
    rule = Rule.parse(f"{verdict} {' '.join(words)}")
    with Store() as store:
        found = store.find(run)
        told = _told(store, found, rule, always=always)
        if always:
            from moat.runs.saved_rules import save_rule  # noqa: PLC0415  the rare wish

            save_rule(store.home, found.workspace, rule.text)
    return f"{rule.text}: {told}"


def _told(store: Store, run: Run, rule: Rule, *, always: bool) -> str:
    """Tells the run, unless it is over, which is no matter to those that come after it."""
    later = f"for later runs of {run.workspace}"
    text = rule.text.removeprefix(rule.action).strip()
    try:
        if run.ended:
            raise RunNotActiveError(
                f"run {run.name} is {run.state}: its policy decides nothing any more",
                "For later runs of its folder: --always; for the next alone: moat run --allow HOST",
            )
        answer = ask(store, run).post("/v1/policy", verdict=rule.action, rule=text)
    except RunNotActiveError:
        if not always:
            raise
        return f"holds {later}; {run.name} is over"
    waited = answer["answered"]
    told = f"holds for {run.name} from now on"
    told += f", and {later}" if always else ""
    told += f"; answered {waited} that waited" if waited else ""
    if rule.action == "allow" and rule.port in answer["missed"]:
        told += (
            f". But a program of the run listens on port {rule.port} itself, so nothing leads out "
            "by it: when it does not any more, allow it again"
        )
    return told

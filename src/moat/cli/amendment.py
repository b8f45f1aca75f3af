"""What `moat allow` and `moat deny` have in common."""

from __future__ import annotations

from moat.cli.arguments import ask
from moat.errors import RunNotActiveError
from moat.runs.store import Store
from moat.spec.rules import Rule


def amend(verdict: str, run: str, words: tuple[str, ...], *, always: bool) -> str:
    """Puts the rule before all others of a running run; what to tell the user."""
    text = " ".join(words)
    rule = Rule.parse(f"{verdict} {text}")
    with Store() as store:
        found = store.find(run)
        if found.ended:
            raise RunNotActiveError(
                f"run {found.name} is {found.state}: its policy decides nothing any more",
                "Give the rule to a run that is active, or to the next: moat run --allow HOST",
            )
        answer = ask(store, found).post("/v1/policy", verdict=verdict, rule=text)
        if always:
            from moat.runs.remembered import remember_rule  # noqa: PLC0415  the rare wish

            remember_rule(store.home, found.workspace, rule.text)
    waited = answer["answered"]
    told = f"{rule.text}: holds for {found.name} from now on"
    told += f", and for later runs of {found.workspace}" if always else ""
    told += f"; answered {waited} that waited" if waited else ""
    if rule.action == "allow" and rule.port in answer["missed"]:
        told += (
            f". But a program of the run listens on port {rule.port} itself, so nothing leads out "
            "by it: when it does not any more, allow it again"
        )
    return told

"""The budget of a supervised run: what its user is told, asked, and may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.egress.policy.decision import Decision, Verdict
from moat.spec import Budget

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run

    from moat.egress.budget.live_budget import LiveBudget


class Waiting:
    def __init__(self) -> None:
        self.answer: Verdict | None = None

    def answered_by_user(self, decision: Decision) -> None:
        self.answer = decision.verdict


def live(run: Run) -> LiveBudget:
    return run.supervisor.egress.gateway.budget


def ask(run: Run) -> Waiting:
    """Charge a request that has to wait."""
    decision = live(run).charge(0, 0, model=False, waits=True)
    assert decision is not None
    assert decision.verdict is Verdict.ASK
    waiting = Waiting()
    live(run).ask(waiting, decision)
    return waiting


async def test_limits_are_shown_and_changed(machine: Machine) -> None:
    """A change is an event with whoever made it; nonsense changes nothing."""
    async with machine.supervised(budget=Budget(requests=5)) as run:
        live(run).charge(0, 0, model=False, waits=True)
        shown = await run.ask("GET", "/v1/limits")
        assert (shown["limits"]["requests"], shown["spent"]["requests"]) == (5, 1)
        changed = await run.ask("POST", "/v1/limits", requests=None, cost=2.5)
        assert (changed["limits"]["requests"], changed["limits"]["cost"]) == (None, 2.5)
        for wrong in ({"lots": 1}, {"tokens": 0}, {"tokens": 1.5}, {"cost": True}):
            refused = await run.ask("POST", "/v1/limits", **wrong)
            assert "summary" in refused
        events = [each for each in run.events if each["event"] == "limit_changed"]
        assert [(each["limit"], each["amount"]) for each in events] == [
            ("requests", None),
            ("cost", 2.5),
        ]


@pytest.mark.parametrize("allow", [True, False])
async def test_the_user_is_asked_whether_a_limit_is_raised(
    machine: Machine, *, allow: bool
) -> None:
    """The list of runs, the questions and the row of notices say so, as they do about hosts."""
    async with machine.supervised(budget=Budget(requests=1, on_limit="ask")) as run:
        live(run).charge(0, 0, model=False, waits=True)
        waiting = ask(run)
        assert run.supervisor.state.as_json()["waiting"] == ["limits.requests"]
        assert "limit used up (1 requests)" in run.supervisor.notice("main")
        [question] = (await run.ask("GET", "/v1/questions"))["questions"]
        assert question["name"] == "limit requests"
        await run.ask("POST", "/v1/answer", name="limit requests", allow=allow)
        assert waiting.answer is (Verdict.ALLOW if allow else Verdict.DENY)
        assert live(run).limits["requests"] == (2 if allow else 1)
        assert ("limit_changed" in run.kinds) is allow
        again = await run.ask("POST", "/v1/answer", name="limit requests", allow=allow)
        assert "summary" in again


async def test_a_run_is_stopped_by_its_limit(machine: Machine) -> None:
    """Once, and its state says why."""
    async with machine.supervised(budget=Budget(tokens=10, on_limit="stop")) as run:
        live(run).charge(0, 0, model=True, waits=True)
        live(run).answered({"model": "m", "output_tokens": 11}, "a.test")
        await run.until(lambda: run.state in {"stopping", "stopped"})
        assert "limit of 10 tokens is used up" in (run.supervisor.state.as_json()["error"] or "")
        assert run.kinds.count("limit_used_up") == 1

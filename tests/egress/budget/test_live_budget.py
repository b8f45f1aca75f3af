"""The budget of a run that lives: questions, answers, changed limits."""

from __future__ import annotations

from typing import Any

import pytest
from tests.manual_loop import ManualLoop

from moat.egress.budget.live_budget import SAVED_EVERY, Amounts, LiveBudget
from moat.egress.policy.decision import Decision, Verdict
from moat.spec.budget import Budget


class Waiting:
    """An exchange that waits, and is charged again when it may go on."""

    def __init__(self, budget: LiveBudget) -> None:
        self._budget = budget
        self.decisions: list[Decision] = []

    def begin(self) -> None:
        decision = self._budget.charge(0, 0, model=False, waits=True)
        if decision is None:
            self.decisions.append(Decision(Verdict.ALLOW, ""))
        elif decision.verdict is Verdict.ASK:
            self._budget.ask(self, decision)
        else:
            self.decisions.append(decision)

    def answered_by_user(self, decision: Decision) -> None:
        if decision.verdict is Verdict.ALLOW:
            self.begin()
        else:
            self.decisions.append(decision)

    @property
    def heard(self) -> list[Verdict]:
        return [each.verdict for each in self.decisions]


class Changed:
    """Limits that were changed, in memory."""

    def __init__(self, amounts: Amounts) -> None:
        self.amounts = amounts

    def change(self, amounts: Amounts) -> None:
        self.amounts = self.amounts | amounts


class Live:
    """A live budget with what it tells."""

    def __init__(self, changed: Amounts | None = None, **budget: Any) -> None:
        self.loop = ManualLoop()
        self.changed = Changed(changed or {})
        self.told: list[str] = []
        self.budget = LiveBudget(Budget(**budget), {}, self.changed, self.loop, "fix", 60.0)
        self.budget.on_used_up = self.told.append

    def ask(self) -> Waiting:
        asked = Waiting(self.budget)
        asked.begin()
        return asked


def test_a_denial_says_what_to_do() -> None:
    """In one line, with the command that raises the limit and the setting for later runs."""
    live = Live(tokens=2_000_000)
    live.budget.answered({"model": "m", "output_tokens": 2_000_000}, "a.test")
    [decision] = live.ask().decisions
    assert (decision.verdict, decision.rule) == (Verdict.DENY, "limits.tokens")
    assert decision.reason == (
        "moat: denied: the run's limit of 2,000,000 tokens is used up. To raise it: moat limit fix"
        " tokens=4000000; for later runs: limits.tokens in agent.yaml or your settings"
    )


def test_a_limit_that_is_used_up_is_told_once() -> None:
    """By the answer that has used it up, or by the request that it denies."""
    live = Live(requests=1, cost=0.001)
    live.budget.charge(0, 0, model=True, waits=True)
    live.budget.answered({"model": "gpt-5", "output_tokens": 1000}, "a.test")
    assert live.told == ["requests"]
    live.ask()
    live.ask()
    assert live.told == ["requests"]
    live.budget.amend({"requests": None})
    live.ask()
    assert live.told == ["requests", "cost"]


def test_requests_wait_until_the_limit_is_raised() -> None:
    """Requests that it makes room for go on, in their order, and the others wait on."""
    live = Live(requests=1, on_limit="ask")
    first, *others = (live.ask() for _ in range(4))
    assert first.heard == [Verdict.ALLOW]
    assert [each.heard for each in others] == [[], [], []]
    assert live.budget.waiting == ["requests"]
    live.budget.amend({"requests": 3})
    assert [each.heard for each in others] == [[Verdict.ALLOW], [Verdict.ALLOW], []]
    assert live.changed.amounts == {"requests": 3}
    live.budget.amend({"requests": None})
    assert others[2].heard == [Verdict.ALLOW]
    assert live.budget.waiting == []
    assert live.loop.waiting == 0


def test_an_answer_raises_a_limit_by_as_much_again() -> None:
    """Each answer raises it, as often as the user says so."""
    live = Live(requests=2, on_limit="ask")
    for _ in range(3):
        live.ask()
    assert live.budget.answer("requests", allow=True) == {"requests": 4}
    assert live.budget.answer("requests", allow=True) == {"requests": 6}
    assert live.budget.limits["requests"] == 6


@pytest.mark.parametrize(
    ("budget", "usage", "raised"),
    [
        ({"tokens": 10}, {"output_tokens": 1000}, {"tokens": 1010}),
        ({"cost": 0.01}, {"output_tokens": 100_000, "model": "gpt-5"}, {"cost": 1.01}),
    ],
)
def test_a_limit_that_was_far_exceeded_is_raised_beyond_that(
    budget: dict[str, Any], usage: dict[str, object], raised: Amounts
) -> None:
    """One answer of the user is enough, and so is the command that a denial names."""
    live = Live(on_limit="ask", **budget)
    live.budget.charge(0, 0, model=True, waits=True)
    live.budget.answered(usage, "a.test")
    waiting = live.ask()
    denial = live.budget.send(0) or live.budget.charge(0, 0, model=False, waits=False)
    [(limit, amount)] = raised.items()
    assert denial is not None
    assert f"moat limit fix {limit}={amount}; " in denial.reason
    assert live.budget.answer(limit, allow=True) == raised
    assert waiting.heard == [Verdict.ALLOW]


def test_a_refusal_holds_until_the_limit_is_raised() -> None:
    """Nobody is asked about the same again."""
    live = Live(requests=1, on_limit="ask")
    live.ask()
    waiting = live.ask()
    assert live.budget.answer("requests", allow=False) == {}
    assert waiting.heard == [Verdict.DENY]
    assert live.ask().heard == [Verdict.DENY]
    live.budget.amend({"requests": 2})
    assert live.ask().heard == [Verdict.ALLOW]
    assert live.ask().heard == []


def test_without_an_answer_a_request_is_denied() -> None:
    """After the time that the network's questions have."""
    live = Live(requests=1, on_limit="ask")
    live.ask()
    waiting = live.ask()
    live.loop.advance(59)
    assert waiting.heard == []
    live.loop.advance(2)
    assert waiting.heard == [Verdict.DENY]
    assert "nobody answered within 60 s" in waiting.decisions[0].reason


def test_a_client_that_leaves_waits_no_more() -> None:
    """Once, and the answer is for nobody."""
    live = Live(requests=1, on_limit="ask")
    live.ask()
    asked = Waiting(live.budget)
    decision = live.budget.charge(0, 0, model=False, waits=True)
    assert decision is not None
    request = live.budget.ask(asked, decision)
    request.withdraw()
    request.withdraw()
    live.budget.amend({"requests": 9})
    assert asked.heard == []
    assert live.loop.waiting == 0


def test_what_cannot_wait_is_denied() -> None:
    """A tunnel, and a body that has begun."""
    live = Live(requests=1, bytes_out=10, on_limit="ask")
    live.ask()
    decision = live.budget.charge(0, 0, model=False, waits=False)
    assert decision is not None
    assert decision.verdict is Verdict.DENY
    assert live.budget.send(10) is None
    denied = live.budget.send(1)
    assert denied is not None
    assert denied.rule == "limits.bytes_out"


def test_changed_limits_are_those_of_the_next_supervisor() -> None:
    """They come before the specification's, also where there is none any more."""
    live = Live({"requests": None, "tokens": 5}, requests=1)
    assert live.budget.limits == {"requests": None, "bytes_out": None, "tokens": 5, "cost": None}
    assert [live.ask().heard for _ in range(3)] == [[Verdict.ALLOW]] * 3


def test_nothing_changes_that_cannot_be_stored() -> None:
    """A limit that a new supervisor would forget isn't raised."""
    live = Live(requests=1)

    def fail(_: Amounts) -> None:
        raise OSError

    live.changed.change = fail  # type: ignore[method-assign]
    with pytest.raises(OSError):
        live.budget.amend({"requests": 5})
    assert live.budget.limits["requests"] == 1


def test_long_bodies_are_saved_on_the_way() -> None:
    """So no death of a supervisor makes a run forget what it has sent."""
    live = Live()
    assert live.budget.send(SAVED_EVERY - 1) is None
    assert not live.budget.saves()
    live.budget.send(1)
    assert live.budget.saves()
    assert not live.budget.saves()

"""Rules that are given while a run lives, and requests that wait for them."""

from __future__ import annotations

import asyncio

import pytest

from moat.egress.decisions import MOST_HOSTS, Decisions
from moat.egress.policy import Verdict
from moat.errors import UsageError
from moat.spec.network import Network


def _asking(ask_timeout: float = 20.0) -> tuple[Decisions, list[list[str]]]:
    kept: list[list[str]] = []
    return Decisions(Network(policy="ask", ask_timeout=ask_timeout), [], kept.append), kept


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
async def test_an_answer_decides_for_all_who_wait(verdict: Verdict) -> None:
    """And is on disk before anybody hears of it."""
    decisions, kept = _asking()
    waiting = [asyncio.create_task(decisions.ask("GET", "a.test", 443, "/")) for _ in range(3)]
    await asyncio.sleep(0)
    assert [each.host for each in decisions.pending] == ["a.test"]

    assert decisions.amend(verdict, "a.test") == 3
    assert kept == [[f"{verdict} a.test"]]

    answers = await asyncio.gather(*waiting)
    assert {answer.verdict for answer in answers} == {verdict}
    assert decisions.pending == []


async def test_a_rule_about_another_method_answers_nobody() -> None:
    """Who waits goes on waiting for one that decides."""
    decisions, _ = _asking()
    waiting = asyncio.create_task(decisions.ask("POST", "a.test", 443, "/"))
    await asyncio.sleep(0)
    assert decisions.amend(Verdict.ALLOW, "GET a.test") == 0
    assert not waiting.done()
    decisions.amend(Verdict.ALLOW, "POST a.test")
    assert (await waiting).verdict is Verdict.ALLOW


async def test_nobody_answers() -> None:
    """No answer is a no, and says so."""
    decisions, _ = _asking(0.01)
    answer = await decisions.ask("GET", "a.test", 443, "/")
    assert answer.verdict is Verdict.DENY
    assert "nobody answered" in answer.reason
    assert decisions.pending == []


async def test_only_so_many_hosts_can_wait() -> None:
    """A hostile program can name any number."""
    decisions, _ = _asking()
    waiting = [
        asyncio.create_task(decisions.ask("GET", f"a{number}.test", 443, "/"))
        for number in range(MOST_HOSTS)
    ]
    await asyncio.sleep(0)
    assert (await decisions.ask("GET", "more.test", 443, "/")).verdict is Verdict.DENY
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert decisions.pending == []


def test_a_rule_that_is_none_changes_nothing() -> None:
    """Neither the policy nor what is kept of it."""
    decisions, kept = _asking()
    before = decisions.policy
    with pytest.raises(UsageError):
        decisions.amend(Verdict.ALLOW, "two words here")
    assert decisions.policy is before
    assert kept == []


def test_a_rule_said_again_moves_to_the_front() -> None:
    """It is kept once."""
    decisions, kept = _asking()
    for rule in ("a.test", "b.test", "a.test"):
        decisions.amend(Verdict.ALLOW, rule)
    assert kept[-1] == ["allow a.test", "allow b.test"]

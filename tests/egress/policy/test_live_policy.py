"""Rules that are added while a run lives, and requests that wait for them."""

from __future__ import annotations

import pytest

from moat.egress.policy.decision import Verdict
from moat.egress.policy.live_policy import MAX_HOSTS, MAX_REQUESTS, MAX_SHOWN, LivePolicy
from moat.errors import UsageError
from moat.spec.network import Network


def _asking(ask_timeout: float = 20.0) -> tuple[LivePolicy, list[list[str]]]:
    kept: list[list[str]] = []
    return LivePolicy(Network(policy="ask", ask_timeout=ask_timeout), [], kept.append), kept


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
async def test_an_answer_decides_for_all_who_wait(verdict: Verdict) -> None:
    """An answer is stored before it decides anything."""
    decisions, kept = _asking()
    waiting = [decisions.ask("GET", "a.test", 443, "/") for _ in range(3)]
    assert decisions.hosts == [("a.test", 443)]

    assert decisions.amend(verdict, "a.test") == 3
    assert kept == [[f"{verdict} a.test"]]

    assert {(await each.answer).verdict for each in waiting} == {verdict}
    assert decisions.pending == []


async def test_a_rule_about_another_method_answers_nobody() -> None:
    """A request keeps waiting until a rule matches it."""
    decisions, _ = _asking()
    waiting = decisions.ask("POST", "a.test", 443, "/")
    assert decisions.amend(Verdict.ALLOW, "GET a.test") == 0
    assert decisions.pending == [waiting]
    decisions.amend(Verdict.ALLOW, "POST a.test")
    assert (await waiting.answer).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("rule", "decided"),
    [
        ("GET a.test/one", ["GET /one"]),
        ("a.test/two", ["POST /two", "GET /two?x=y"]),
        ("GET a.test", ["GET /one", "GET /two?x=y"]),
        ("PUT a.test", ["PUT /"]),
        ("a.test:443", ["GET /one", "POST /two", "PUT /", "GET /two?x=y"]),
        ("a.test:444", []),
        ("DELETE a.test", []),
    ],
)
@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
async def test_each_request_is_decided_by_its_own_method_and_path(
    rule: str, decided: list[str], verdict: Verdict
) -> None:
    """The count that `amend` returns is that of the requests whose method and path match."""
    decisions, _ = _asking()
    asked = ["GET /one", "POST /two", "PUT /", "GET /two?x=y"]
    waiting = {
        each: decisions.ask(method, "a.test", 443, path)
        for each in asked
        for method, _, path in [each.partition(" ")]
    }

    assert decisions.amend(verdict, rule) == len(decided)

    assert [each for each in asked if waiting[each].answer.done()] == decided
    assert {(await waiting[each].answer).verdict for each in decided} <= {verdict}
    assert len(decisions.pending) == len(asked) - len(decided)


async def test_who_gave_up_is_not_answered() -> None:
    """A withdrawn question is neither shown nor counted, and leaves room for another."""
    decisions, _ = _asking()
    heard: list[int] = []
    decisions.on_pending = lambda: heard.append(len(decisions.pending))
    first, second = (decisions.ask("GET", "a.test", 443, "/") for _ in range(2))
    first.withdraw()
    first.withdraw()
    assert first.answer.cancelled()
    assert decisions.amend(Verdict.ALLOW, "a.test") == 1
    assert (await second.answer).verdict is Verdict.ALLOW
    second.withdraw()
    assert heard == [1, 2, 1, 0]
    assert decisions.hosts == []


async def test_nobody_answers() -> None:
    """A request without an answer is denied, and the denial says why."""
    decisions, _ = _asking(0.01)
    answer = await decisions.ask("GET", "a.test", 443, "/").answer
    assert answer.verdict is Verdict.DENY
    assert "nobody answered" in answer.reason
    assert decisions.pending == []


async def test_only_so_many_hosts_can_wait() -> None:
    """A hostile program can name any number of hosts."""
    decisions, _ = _asking()
    waiting = [decisions.ask("GET", f"a{number}.test", 443, "/") for number in range(MAX_HOSTS)]
    refused = await decisions.ask("GET", "more.test", 443, "/").answer
    assert refused.verdict is Verdict.DENY
    assert "too many hosts" in refused.reason
    waiting[0].withdraw()
    assert not decisions.ask("GET", "more.test", 443, "/").answer.done()
    for each in decisions.pending:
        each.withdraw()
    assert decisions.pending == []


async def test_only_so_many_requests_can_wait() -> None:
    """The limit holds for the requests to one host, too."""
    decisions, _ = _asking()
    for _ in range(MAX_REQUESTS):
        decisions.ask("GET", "a.test", 443, "/")
    assert "too many requests" in (await decisions.ask("GET", "a.test", 443, "/").answer).reason
    assert decisions.amend(Verdict.ALLOW, "a.test") == MAX_REQUESTS


async def test_what_waits_is_shown_request_by_request() -> None:
    """Alike questions are shown once with their number, without secrets, and not too many of a host."""
    decisions, _ = _asking()
    for method, port, path in (
        ("GET", 443, "/a?token=s3cret&b=c"),
        ("POST", 443, "/a"),
        ("POST", 443, "/a"),
        ("GET", 80, "/" + "x" * 10_000),
    ):
        decisions.ask(method, "a.test", port, path)
    shown = decisions.as_json()
    assert [(each["method"], each["port"], each["count"]) for each in shown["waiting"]] == [
        ("GET", 443, 1),
        ("POST", 443, 2),
        ("GET", 80, 1),
    ]
    assert shown["waiting"][0]["path"] == "/a?token=***&b=c"
    assert len(shown["waiting"][2]["path"]) < 1000
    assert shown["waiting_count"] == 4

    for number in range(2 * MAX_SHOWN):
        decisions.ask("GET", "b.test", 443, f"/{number}")
    shown = decisions.as_json()
    assert [each["host"] for each in shown["waiting"]].count("b.test") == MAX_SHOWN
    assert shown["waiting_count"] == 4 + 2 * MAX_SHOWN


def test_a_rule_that_is_none_changes_nothing() -> None:
    """A bad rule changes neither the policy nor what is stored."""
    decisions, kept = _asking()
    before = decisions.policy
    with pytest.raises(UsageError):
        decisions.amend(Verdict.ALLOW, "two words here")
    assert decisions.policy is before
    assert kept == []


def test_a_rule_said_again_moves_to_the_front() -> None:
    """A repeated rule is stored once."""
    decisions, kept = _asking()
    for rule in ("a.test", "b.test", "a.test"):
        decisions.amend(Verdict.ALLOW, rule)
    assert kept[-1] == ["allow a.test", "allow b.test"]

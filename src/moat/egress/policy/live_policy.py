"""The live policy of a run: rules that are added while it runs, and requests that wait for one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.engine import PLACEHOLDER, Policy
from moat.egress.traffic import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moat.spec.network import Network

MAX_HOSTS: Final = 64
"""Hosts that may wait at once. Nobody answers more, and a hostile program can ask for many."""
MAX_REQUESTS: Final = 2000
"""Requests that may wait, whatever their hosts: each added rule decides all of them anew."""
MAX_SHOWN: Final = 10
"""Different requests to one host that are shown; the rest are counted."""
_PATH_SHOWN: Final = 200
"""Characters of a path that are shown."""


@dataclass(slots=True, eq=False)
class Question:
    """A request that waits for the user's answer."""

    method: str
    host: str
    port: int
    path: str
    since: float
    """Seconds since the epoch."""
    answer: asyncio.Future[Decision]
    _settle: Callable[[Question, Decision | None], None]

    def withdraw(self) -> None:
        """Cancel `answer`: nobody waits for it any more."""
        self._settle(self, None)


class LivePolicy:
    """The policy in force, its additions, and the questions that it leaves open."""

    def __init__(
        self,
        network: Network,
        additions: list[str],
        on_change: Callable[[list[str]], None],
        run: str = PLACEHOLDER,
    ) -> None:
        """`additions`: newest first. `on_change` stores them before they come into force.

        Raises `UsageError` for a bad rule.
        """
        self._network = network
        self._run = run
        self._additions = additions
        self._on_change = on_change
        self._pending: dict[tuple[str, int], dict[Question, asyncio.TimerHandle]] = {}
        """Questions with their timeouts by host and port, all in the order in which they were asked."""
        self._count = 0
        """The number of all these questions."""
        self.on_pending: Callable[[], None] = lambda: None
        """Called whenever a request begins or ceases to wait."""
        self.policy = Policy(network, additions, run)

    @property
    def pending(self) -> list[Question]:
        return [question for questions in self._pending.values() for question in questions]

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """Host and port of what waits, in the order in which they were first asked about."""
        return list(self._pending)

    def amend(self, verdict: Verdict, rule: str) -> int:
        """Put `allow RULE` or `deny RULE` before all other rules.

        Returns how many waiting requests that decides. When it returns, the rule is stored. Raises
        `UsageError` for a bad rule, and what `on_change` raises.
        """
        text = f"{verdict} {rule}"
        additions = [text, *(each for each in self._additions if each != text)]
        policy = Policy(self._network, additions, self._run)
        self._on_change(additions)
        self._additions = additions
        self.policy = policy
        answered = 0
        for each in self.pending:
            decision = policy.decide(each.method, each.host, each.port, each.path)
            if decision.verdict is not Verdict.ASK:
                self._settle(each, decision)
                answered += 1
        return answered

    def ask(self, method: str, host: str, port: int, path: str) -> Question:
        """Ask the user about a request. Without an answer in time, it is denied."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Decision] = loop.create_future()
        question = Question(method, host, port, path, time.time(), answer, self._settle)
        if (host, port) not in self._pending and len(self._pending) >= MAX_HOSTS:
            answer.set_result(self._unanswered(question, "too many hosts wait for an answer"))
        elif self._count >= MAX_REQUESTS:
            answer.set_result(self._unanswered(question, "too many requests wait for an answer"))
        else:
            timer = loop.call_later(self._network.ask_timeout, self._expired, question)
            self._pending.setdefault((host, port), {})[question] = timer
            self._count += 1
            self.on_pending()
        return question

    def as_json(self) -> dict[str, Any]:
        """Return the policy with what waits.

        `waiting` has each different request once, of a host not too many; `waiting_count` counts all.
        """
        waiting = [each for questions in self._pending.values() for each in _group_alike(questions)]
        return self.policy.as_json() | {"waiting": waiting, "waiting_count": self._count}

    def _expired(self, question: Question) -> None:
        why = f"nobody answered within {self._network.ask_timeout:g} s"
        self._settle(question, self._unanswered(question, why))

    def _settle(self, question: Question, decision: Decision | None) -> None:
        """End a question, once; with `None`, without an answer."""
        key = question.host, question.port
        timer = self._pending.get(key, {}).pop(question, None)
        if timer is None:
            return
        timer.cancel()
        self._count -= 1
        if not self._pending[key]:
            del self._pending[key]
        if decision is None:
            question.answer.cancel()
        else:
            question.answer.set_result(decision)
        self.on_pending()

    def _unanswered(self, question: Question, why: str) -> Decision:
        return self.policy.unanswered(question.method, question.host, question.port, why)


def _group_alike(questions: Iterable[Question]) -> list[dict[str, Any]]:
    """Return the different questions about one host, with the number of each."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for each in questions:
        key = each.method, _shown(each.path)
        if key in groups:
            groups[key]["count"] += 1
        elif len(groups) < MAX_SHOWN:
            groups[key] = {
                "host": each.host,
                "port": each.port,
                "method": each.method,
                "path": key[1],
                "since": each.since,
                "count": 1,
            }
    return list(groups.values())


def _shown(path: str) -> str:
    """Shorten a path and leave out secrets: it goes to terminals and other programs."""
    # Cut first, because it may be very long. Nothing is uncovered by that: a value follows its name.
    cut = "…" if len(path) > _PATH_SHOWN else ""
    return redact.target(path[:_PATH_SHOWN]) + cut

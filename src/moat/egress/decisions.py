"""The living policy of a run: rules that are added while it runs, and requests that wait for one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moat.egress.policy import PLACEHOLDER, Decision, Policy, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.spec.network import Network

MOST_HOSTS: Final = 64
"""That may wait for an answer at once; nobody answers more, and a hostile program can ask for many."""


@dataclass(slots=True)
class Pending:
    """Requests to one host that wait for the user."""

    host: str
    port: int
    method: str
    since: float
    """Seconds since the epoch."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class Decisions:
    def __init__(
        self,
        network: Network,
        additions: list[str],
        on_change: Callable[[list[str]], None],
        run: str = PLACEHOLDER,
    ) -> None:
        """`additions`: newest first, as `on_change` gave them to be kept."""
        self._network = network
        self._run = run
        self._additions = additions
        self._on_change = on_change
        self._pending: dict[tuple[str, int], Pending] = {}
        self.on_pending: Callable[[list[Pending]], None] = lambda _: None
        """Told whenever somebody begins or ceases to wait."""
        self.policy = Policy(network, additions, run)

    @property
    def pending(self) -> list[Pending]:
        return list(self._pending.values())

    def amend(self, verdict: Verdict, rule: str) -> int:
        """Puts `allow RULE` or `deny RULE` before all other rules; how many waited for it.

        Raises `UsageError`. When it returns, the rule is on disk.
        """
        text = f"{verdict} {rule}"
        additions = [text, *(each for each in self._additions if each != text)]
        policy = Policy(self._network, additions, self._run)
        self._on_change(additions)
        self._additions = additions
        self.policy = policy
        answered = 0
        for pending in self.pending:
            decision = policy.decide(pending.method, pending.host, pending.port, "/")
            if decision.verdict is not Verdict.ASK:
                answered += pending.waiting
                pending.answered.set()
        return answered

    async def ask(self, method: str, host: str, port: int, path: str) -> Decision:
        """Waits until a rule decides; no answer is a no."""
        pending = self._pending.get((host, port))
        if pending is None:
            if len(self._pending) >= MOST_HOSTS:
                return self._unanswered(method, host, port, "too many hosts wait for an answer")
            pending = Pending(host, port, method, time.time())
            self._pending[host, port] = pending
        pending.waiting += 1
        try:
            self.on_pending(self.pending)
            async with asyncio.timeout(self._network.ask_timeout):
                while True:
                    await pending.answered.wait()
                    decision = self.policy.decide(method, host, port, path)
                    if decision.verdict is not Verdict.ASK:
                        return decision
                    pending.answered.clear()
        except TimeoutError:
            seconds = f"nobody answered within {self._network.ask_timeout:g} s"
            return self._unanswered(method, host, port, seconds)
        finally:
            pending.waiting -= 1
            if not pending.waiting:
                self._pending.pop((host, port), None)
                self.on_pending(self.pending)

    def as_json(self) -> dict[str, Any]:
        waiting = [
            {"host": each.host, "port": each.port, "method": each.method, "since": each.since}
            for each in self.pending
        ]
        return self.policy.as_json() | {"waiting": waiting}

    def _unanswered(self, method: str, host: str, port: int, why: str) -> Decision:
        default = f"policy: ask, {why}"
        return Decision(Verdict.DENY, default, self.policy.unlisted(method, host, port, default))

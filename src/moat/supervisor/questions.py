"""Requests that wait for the user (policy `ask`), as viewers and `moat list` hear of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.events import QuestionAsked, QuestionClosed
from moat.session.clipboard import Clipboard

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from moat.egress.budget.live_budget import LiveBudget
    from moat.egress.policy.live_policy import LivePolicy
    from moat.supervisor.context import RunContext

_NOTICE_S: Final = 0.5
"""The shortest time between two notices."""
_NAMED: Final = 8
"""The number of hosts that a notice names."""

_CLIPBOARD: Final = "the program wants to write to your clipboard: answer with the prefix, then a"


class Questions:
    """Reports which hosts wait for an answer, at once and then not for a while.

    A hostile program may ask and give up all the time.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self.clipboard = Clipboard(run.spec.clipboard, self._changed)
        """The question whether programs may write to the user's clipboard."""
        self._clipboard_shown = False
        self._decisions: LivePolicy | None = None
        self._budget: LiveBudget | None = None
        self._limits: list[str] = []
        """Limits about which a question was reported."""
        self._shown: set[tuple[str, int]] = set()
        """Host and port of each question that was reported."""
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, decisions: LivePolicy, budget: LiveBudget) -> None:
        """Report the questions of this live policy, and of this budget, from now on."""
        self._decisions, self._budget = decisions, budget
        decisions.on_pending = budget.on_waiting = self._changed

    @property
    def limits(self) -> dict[str, str]:
        """The limits because of which requests wait, each in words."""
        budget = self._budget
        return {} if budget is None else {each: budget.words(each) for each in budget.waiting}

    def close(self) -> None:
        """Report that each question is closed, for they end with the gateway, and nothing after that."""
        if self._timer is not None:
            self._timer.cancel()
        if self._decisions is not None:
            self._decisions.on_pending = lambda: None
        if self._budget is not None:
            self._budget.on_waiting = lambda: None
        for host, port in sorted(self._shown):
            self._run.emit(QuestionClosed(host, port))
        self._shown = set()

    def _changed(self) -> None:
        if self._timer is None:
            self._report()

    def _report(self) -> None:
        self._timer = None
        waiting = set(() if self._decisions is None else self._decisions.hosts)
        asks, shown = self.clipboard.asks, self._clipboard_shown
        limits, told = self.limits, self._limits
        if waiting == self._shown and asks == shown and list(limits) == told:
            return
        self._clipboard_shown, self._limits = asks, list(limits)
        new, old, gone = waiting - self._shown, waiting & self._shown, self._shown - waiting
        self._shown = waiting
        for host, port in sorted(new):
            self._run.emit(QuestionAsked(host, port))
        for host, port in sorted(gone):
            self._run.emit(QuestionClosed(host, port))
        all_waiting = [f"{host}:{port}" for host, port in sorted(waiting)]
        all_waiting += [f"limits.{each}" for each in limits]
        self._run.state.save(waiting=" ".join(all_waiting))
        hosts = [host for host, _ in (*sorted(new), *sorted(old))]
        notices = self._run.notices
        run = self._run.spec.name
        notices.question = (
            notice(hosts, run)
            if hosts
            else limit_notice(limits, run)
            if limits
            else _CLIPBOARD
            if asks
            else ""
        )
        notices.show(new=bool(new) or asks > shown or bool(limits.keys() - set(told)))
        self._run.changes.notify()
        self._timer = self._run.loop.call_later(_NOTICE_S, self._report)


def notice(hosts: Sequence[str], run: str) -> str:
    """Return a line that says which hosts wait for an answer and how to give it.

    What matters most comes first: a narrow terminal cuts the line off.
    """
    hosts = list(dict.fromkeys(hosts))
    if len(hosts) == 1:
        return f"{hosts[0]} waits for an answer: moat allow {run} {hosts[0]}, or deny"
    named = ", ".join(hosts[:_NAMED])
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    return f"{len(hosts)} hosts wait for an answer: {named}{more}; moat allow {run} HOST, or deny"


def limit_notice(limits: Mapping[str, str], run: str) -> str:
    """Return a line that says which limit is used up, and how to raise it. `limits`: each in words."""
    limit, words = next(iter(limits.items()))
    return f"limit used up ({words}): moat limit {run} {limit}=AMOUNT, or the prefix, then a"

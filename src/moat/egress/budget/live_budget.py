"""The budget of a run while it lives: limits that are changed, and requests that wait for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from moat.egress.budget.prices import Prices, with_shipped
from moat.egress.budget.spending import TOO_MANY_MODELS, Spending, Spent
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.engine import PLACEHOLDER
from moat.spec.budget import BUDGET_LIMITS, Budget, in_words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

Amounts = dict[str, float | None]
"""The limits by name; `None`: there is none."""

MAX_WAITING: Final = 2000
"""Requests that may wait for the user's answer."""
SAVED_EVERY: Final = 1 << 20
"""Bytes of a body after which the counts are saved before the request is over."""
_RULE: Final = "limits."


class ChangedLimits(Protocol):
    """Limits that were changed, and outlive the supervisor."""

    amounts: Amounts

    def change(self, amounts: Amounts) -> None:
        """Store some before they come into force. Raises `OSError`; then nothing has changed."""
        ...


class WaitingExchange(Protocol):
    """An exchange that waits until a limit is raised."""

    def answered_by_user(self, decision: Decision) -> None: ...


class WaitingRequest:
    """A request that waits for the user's answer."""

    def __init__(self, budget: LiveBudget, exchange: WaitingExchange, limit: str) -> None:
        self._budget = budget
        self.exchange = exchange
        self.limit = limit

    def withdraw(self) -> None:
        """Wait no more: nobody needs the answer."""
        self._budget.settle(self, None)


class LiveBudget:
    """The limits in force, what was used up, and who waits because of that."""

    def __init__(
        self,
        budget: Budget,
        stored: Mapping[str, int],
        changed: ChangedLimits,
        loop: asyncio.AbstractEventLoop,
        run: str = PLACEHOLDER,
        ask_timeout: float = 60.0,
    ) -> None:
        """`stored`: the counts of earlier supervisors, `changed`: the limits that they have changed."""
        self._budget = budget
        self._changed = changed
        self._loop = loop
        self._run = run
        self._ask_timeout = ask_timeout
        self._spending = Spending(Spent(stored))
        self._spending.limit(self.limits)
        self._prices: Prices | None = None
        self._refused: set[str] = set()
        """Limits that the user won't raise, so that nobody is asked again."""
        self._told: set[str] = set()
        """Limits of which `on_used_up` was told."""
        self._waiting: dict[WaitingRequest, asyncio.TimerHandle] = {}
        self._unsaved: int = 0
        self.on_used_up: Callable[[str], None] = lambda _: None
        """Called once for a limit that is used up, with its name."""
        self.on_waiting: Callable[[], None] = lambda: None
        """Called whenever a request begins or ceases to wait."""
        self.on_model: Callable[[Mapping[str, object], str, int | None], None] = _ignore
        """Called with what a model's response has consumed: its usage, the host, and the cost.

        The cost is in billionths of a dollar, or `None`.
        """

    # --- on the path of a request ---

    @property
    def limits_bytes(self) -> bool:
        """Tell whether the size of a request's head matters."""
        return self._spending.limits_bytes

    def charge(self, size: int, announced: int, *, model: bool, waits: bool) -> Decision | None:
        """Count a request that is about to go upstream, or return the decision against it.

        See `Spending.charge`. `waits`: it can wait for the user.
        """
        against = self._spending.charge(size, announced=max(0, announced), model=model)
        return None if not against else self._against(against, waits=waits)

    def send(self, size: int) -> Decision | None:
        """Count bytes that are about to go upstream, or return the denial of them."""
        self._unsaved += size
        return None if self._spending.send(size) else self._against("bytes_out", waits=False)

    def saves(self) -> bool:
        """Tell whether so much was counted since the last time that the counts should be saved."""
        if self._unsaved < SAVED_EVERY:
            return False
        self._unsaved = 0
        return True

    def answered(self, usage: Mapping[str, object] | None, host: str) -> None:
        """Count what a model's response has consumed; `None`: there was none."""
        if self._prices is None:
            self._prices = with_shipped(self._budget.prices)
        cost = self._spending.answered(usage, self._prices)
        if usage is not None:
            self.on_model(usage, host, cost)
            against = self._spending.used_up
            if against:
                self._tell(against)

    # --- what is known ---

    def stored(self) -> tuple[int, ...]:
        """Return the counts for the database; any thread may call it."""
        return self._spending.spent.stored()

    @property
    def limits(self) -> Amounts:
        """The limits in force."""
        specified: Amounts = {name: getattr(self._budget, name) for name in BUDGET_LIMITS}
        return specified | self._changed.amounts

    @property
    def waiting(self) -> list[str]:
        """The limits because of which requests wait, in the order of the first ones."""
        return list(dict.fromkeys(each.limit for each in self._waiting))

    def as_json(self) -> dict[str, Any]:
        return {
            "limits": self.limits,
            "on_limit": self._budget.on_limit,
            "spent": self._spending.spent.as_json(),
            "waiting": len(self._waiting),
        }

    def words(self, limit: str) -> str:
        """Return a limit in force as people write it: `500 requests`."""
        return in_words(limit, self.limits[limit] or 0)

    # --- questions ---

    def ask(self, exchange: WaitingExchange, decision: Decision) -> WaitingRequest:
        """Let a request wait until the limit of a decision is raised, the user refuses or time is up."""
        request = WaitingRequest(self, exchange, decision.rule.removeprefix(_RULE))
        timer = self._loop.call_later(self._ask_timeout, self._expired, request)
        self._waiting[request] = timer
        self.on_waiting()
        return request

    def answer(self, limit: str, *, allow: bool) -> Amounts:
        """Raise a limit by as much again, or refuse that; return what was changed. Raises `OSError`."""
        if not allow:
            self._refused.add(limit)
            self._decide_waiting()
            return {}
        more = getattr(self._budget, limit) or self.limits[limit] or 0
        raised: Amounts = {limit: self._raised(limit, more)}
        if limit != "cost":  # compiled code has made it a float
            raised[limit] = int(raised[limit] or 0)
        self.amend(raised)
        return raised

    def _raised(self, limit: str, more: float) -> float:
        """Return a limit that leaves something: it may be exceeded by more than it is raised by."""
        raised = (self.limits[limit] or 0) + more
        used = self._spending.spent.of(limit)
        return raised if used < raised else used + more

    def amend(self, amounts: Amounts) -> None:
        """Change limits, and let requests that wait go on if they may. Raises `OSError`."""
        self._changed.change(amounts)
        self._spending.limit(self.limits)
        self._refused -= amounts.keys()
        self._told -= amounts.keys()
        self._decide_waiting()

    def _decide_waiting(self) -> None:
        for each in tuple(self._waiting):
            verdict = Verdict.DENY if each.limit in self._refused else Verdict.ALLOW
            self.settle(each, self._decision(each.limit, verdict))

    def settle(self, request: WaitingRequest, decision: Decision | None) -> None:
        """End the wait of a request, once; with `None`, without an answer.

        One that is allowed is charged again, and may have to wait again.
        """
        timer = self._waiting.pop(request, None)
        if timer is None:
            return
        timer.cancel()
        if decision is not None:
            request.exchange.answered_by_user(decision)
        self.on_waiting()

    def _expired(self, request: WaitingRequest) -> None:
        why = f"nobody answered within {self._ask_timeout:g} s"
        self.settle(request, self._decision(request.limit, Verdict.DENY, f" ({why})"))

    # --- ---

    def _against(self, limit: str, *, waits: bool) -> Decision:
        if limit == TOO_MANY_MODELS:
            return Decision(
                Verdict.DENY,
                TOO_MANY_MODELS,
                "moat: too many requests to models are under way, while limits.tokens or limits.cost"
                " holds. Try again when one of them is answered",
                429,
            )
        self._tell(limit)
        asks = self._budget.on_limit == "ask" and limit not in self._refused
        if asks and waits and len(self._waiting) < MAX_WAITING:
            return self._decision(limit, Verdict.ASK)
        return self._decision(limit, Verdict.DENY)

    def _decision(self, limit: str, verdict: Verdict, note: str = "") -> Decision:
        if verdict is Verdict.ALLOW:
            return Decision(verdict, _RULE + limit)
        more = self._raised(limit, self.limits[limit] or 0)
        shown = f"{more:.0f}" if more % 1 == 0 else f"{more:.15g}"
        advice = f"moat limit {self._run} {limit}={shown}"
        return Decision(
            verdict,
            _RULE + limit,
            f"moat: denied: the run's limit of {self.words(limit)} is used up{note}. To raise it:"
            f" {advice}; for later runs: limits.{limit} in agent.yaml or your settings",
        )

    def _tell(self, limit: str) -> None:
        if limit not in self._told:
            self._told.add(limit)
            self.on_used_up(limit)


def _ignore(_usage: Mapping[str, object], _host: str, _cost: int | None) -> None:
    """Do nothing: the record has the tokens of each request."""

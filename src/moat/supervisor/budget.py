"""The budget of a run as its user sees it: events, and the end of a run whose limit is used up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moat.errors import EngineError, UsageError
from moat.events import LimitChanged, LimitUsedUp
from moat.spec.budget import BUDGET_LIMITS
from moat.supervisor.model_calls import ModelCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.egress.budget.live_budget import LiveBudget
    from moat.events import Peer
    from moat.supervisor.context import RunContext
    from moat.supervisor.shutdown import Shutdown


class RunBudget:
    def __init__(self, run: RunContext, shutdown: Shutdown) -> None:
        self._run = run
        self._shutdown = shutdown
        self._live: LiveBudget | None = None
        self._models = ModelCalls(run)

    def follow(self, live: LiveBudget) -> None:
        """Report what this live budget tells from now on."""
        self._live = live
        live.on_used_up = self._used_up
        live.on_model = self._models.add

    def close(self) -> None:
        """Report the last answers of models."""
        self._models.flush()

    @property
    def live(self) -> LiveBudget:
        """The budget. Raises `EngineError` while there is none."""
        if self._live is None:
            raise EngineError("the run has no network yet", "Try again in a moment")
        return self._live

    @property
    def spent(self) -> dict[str, Any] | None:
        """The amounts that were used up; `None` while there is no network yet."""
        return None if self._live is None else self._live.as_json()["spent"]

    def amend(self, fields: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        """Change limits, and return what is in force. Raises `UsageError` and `EngineError`."""
        amounts = {name: _amount(name, value) for name, value in fields.items()}
        try:
            self.live.amend(amounts)
        except OSError as exc:
            raise EngineError(
                f"the limit can't be stored: {exc.strerror}", "Free some space, and try again"
            ) from exc
        self._changed(amounts, peer)
        return self.live.as_json()

    def answer(self, limit: str, peer: Peer, *, allow: bool) -> None:
        """Raise a limit by as much again, or refuse that. Raises `EngineError`."""
        try:
            amounts = self.live.answer(limit, allow=allow)
        except OSError as exc:
            raise EngineError(
                f"the limit can't be stored: {exc.strerror}", "Free some space, and try again"
            ) from exc
        self._changed(amounts, peer)

    def _changed(self, amounts: Mapping[str, float | None], peer: Peer) -> None:
        for limit, amount in amounts.items():
            self._run.emit(LimitChanged(limit, amount, peer))

    def _used_up(self, limit: str) -> None:
        on_limit = self._run.spec.budget.on_limit
        amount = self.live.limits[limit] or 0
        self._run.emit(LimitUsedUp(limit, amount, on_limit))
        state = self._run.state
        if on_limit == "stop" and not state.ended:
            state.stopped_because = (
                f"stopped because its limit of {self.live.words(limit)} is used up"
            )
            state.report(None)
            self._shutdown.stop_later()


def _amount(name: str, value: Any) -> float | None:
    """Check a limit of a request. Raises `UsageError`."""
    if name not in BUDGET_LIMITS:
        raise UsageError(f"there is no limit {name!r}", f"Known: {', '.join(BUDGET_LIMITS)}")
    if value is None:
        return None
    kinds = (int, float) if name == "cost" else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 1 << 53:
        raise UsageError(f"{value!r} is no amount for a limit of {name}")
    return value

"""Metrics of one run: what its supervisor knows without asking anybody."""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from moat.events import Denied, Fault, ModelUsed
from moat.version import __version__
from moat.wire.metrics import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from moat.events import Event
    from moat.session.session import Session
    from moat.supervisor.context import RunContext

MOST_MODELS: Final = 32
"""Models that are counted by themselves: a run can be its own model, and name it as it likes."""
_OTHERS: Final = ("", "*")
_SPENT: Final = {
    "requests": "moat_run_requests",
    "bytes_out": "moat_run_sent_bytes",
    "tokens": "moat_run_tokens",
    "cost": "moat_run_cost_dollars",
    "unpriced_tokens": "moat_run_unpriced_tokens",
}
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class RunMetrics:
    """Counts of a run's events. Implements `event_stream.Subscriber`."""

    def __init__(self, run: RunContext) -> None:
        self._spec = run.spec
        self._state = run.state
        self._began = time.time()
        self._events: Counter[str] = Counter()
        self._denials = 0
        self._requests: Counter[tuple[str, str]] = Counter()
        """Answers by provider and model, and tokens, too."""
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._faults: set[str] = set()

    def __call__(self, at: float, event: Event, /) -> None:
        del at
        self._events[event.KIND] += 1
        match event:
            case Denied():
                self._denials += event.count
            case ModelUsed():
                key = event.provider, event.model
                if key not in self._requests and len(self._requests) >= MOST_MODELS:
                    key = _OTHERS
                self._requests[key] += event.requests
                self._tokens[key] += event.tokens
            case Fault(detail=""):
                self._faults.discard(event.part)
            case Fault():
                self._faults.add(event.part)
            case _:
                pass

    def samples(
        self, sessions: Iterable[Session], waits_for: str, spent: Mapping[str, Any] | None
    ) -> list[Sample]:
        """Return all samples, each with the labels of the run. `spent`: see `RunBudget.spent`."""
        run = {"run": self._spec.id, "name": self._spec.name}
        found = chain(
            self._of_run(list(sessions), waits_for), _of_budget(spent or {}), self._counted()
        )
        return [Sample(each.family, each.value, run | dict(each.labels)) for each in found]

    def _of_run(self, sessions: Sequence[Session], waits_for: str) -> Iterator[Sample]:
        spec = self._spec
        agent = "" if spec.agent is None else spec.agent.name
        yield Sample("moat_run", 1, {"engine": spec.engine, "agent": agent, "version": __version__})
        yield Sample("moat_run_state", 1, {"state": str(self._state.now)})
        created = datetime.fromisoformat(spec.created_at).timestamp()
        yield Sample("moat_run_created_timestamp_seconds", created)
        yield Sample("moat_run_waits", float(bool(waits_for)))
        yield Sample("moat_run_viewers", sum(len(each.viewers) for each in sessions))
        yield Sample("moat_run_sessions", sum(not each.drained for each in sessions))

    def _counted(self) -> Iterator[Sample]:
        for (provider, model), count in self._requests.items():
            labels = {"provider": provider, "model": model}
            yield Sample("moat_run_model_requests", count, labels)
            yield Sample("moat_run_model_tokens", self._tokens[provider, model], labels)
        yield Sample("moat_run_denials", self._denials)
        for kind, count in self._events.items():
            yield Sample("moat_run_events", count, {"event": kind})
        for part in sorted(self._faults):
            yield Sample("moat_run_fault", 1, {"part": part})
        yield Sample("moat_supervisor_start_timestamp_seconds", self._began)
        yield Sample("moat_supervisor_cpu_seconds", time.process_time())
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  of the kernel's
            yield Sample("moat_supervisor_memory_bytes", int(file.read().split()[1]) * _PAGE)


def _of_budget(spent: Mapping[str, Any]) -> Iterator[Sample]:
    for name, amount in spent.items():
        yield Sample(_SPENT[name], amount)

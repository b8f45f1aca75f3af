"""What a supervisor counts of its run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from moat.events import Denied, Fault, ModelUsed
from moat.runs.states import State
from moat.spec import AgentSetup, RunId, RunSpec
from moat.supervisor.metrics import MOST_MODELS, RunMetrics
from moat.wire.metrics import MOST_SAMPLES, Sample

RUN = {"run": "0123456789ab", "name": "fix"}


@pytest.fixture
def metrics() -> RunMetrics:
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="fix",
        command=("true",),
        workspace="/",
        created_at="2026-01-01T00:00:00.000Z",
        agent=AgentSetup(name="claude"),
    )
    context: Any = SimpleNamespace(spec=spec, state=SimpleNamespace(now=State.RUNNING))
    return RunMetrics(context)


def samples_of(metrics: RunMetrics, spent: dict[str, float] | None = None) -> list[Sample]:
    sessions: Any = [
        SimpleNamespace(viewers=[1, 2], drained=False),
        SimpleNamespace(viewers=[], drained=True),
    ]
    return metrics.samples(sessions, "question", spent)


def value(samples: list[Sample], family: str, **labels: str) -> float:
    [found] = [
        each.value for each in samples if (each.family, each.labels) == (family, RUN | labels)
    ]
    return found


def used(model: str) -> ModelUsed:
    return ModelUsed("a.test", "openai", model, 1, 10, 4, 0, None)


def test_the_run_as_it_is_now(metrics: RunMetrics) -> None:
    """State, viewers, sessions, and that it waits."""
    samples = samples_of(metrics, {"requests": 3, "bytes_out": 4, "tokens": 5, "cost": 0.5})
    assert value(samples, "moat_run_state", state="running") == 1
    assert value(samples, "moat_run_viewers") == 2
    assert value(samples, "moat_run_sessions") == 1
    assert value(samples, "moat_run_waits") == 1
    assert value(samples, "moat_run_requests") == 3
    assert value(samples, "moat_run_cost_dollars") == 0.5
    assert value(samples, "moat_run_created_timestamp_seconds") == 1_767_225_600
    assert value(samples, "moat_supervisor_memory_bytes") > 1 << 20


def test_a_run_without_a_network_has_nothing_used_up(metrics: RunMetrics) -> None:
    """As before its start."""
    assert not [each for each in samples_of(metrics) if each.family == "moat_run_requests"]


def test_events_are_counted(metrics: RunMetrics) -> None:
    """One that stands for several denials counts as many."""
    metrics(1.0, Denied("https", "a.test", 443, "rule", "reason", 5))
    metrics(2.0, Denied("https", "a.test", 443, "rule", "reason"))
    metrics(3.0, used("m"))
    samples = samples_of(metrics)
    assert value(samples, "moat_run_denials") == 6
    assert value(samples, "moat_run_events", event="denied") == 2
    assert value(samples, "moat_run_model_tokens", provider="openai", model="m") == 10


def test_a_fault_is_there_until_it_is_over(metrics: RunMetrics) -> None:
    """An alert can be made of it."""
    metrics(1.0, Fault("disk", "full"))
    assert value(samples_of(metrics), "moat_run_fault", part="disk") == 1
    metrics(2.0, Fault("disk", ""))
    assert not [each for each in samples_of(metrics) if each.family == "moat_run_fault"]


def test_models_without_end_are_few_samples(metrics: RunMetrics) -> None:
    """A run can be its own model, and have another name in each answer."""
    for number in range(1000):
        metrics(1.0, used(f"model-{number}"))
    samples = samples_of(metrics)
    assert value(samples, "moat_run_model_requests", provider="", model="*") == 1000 - MOST_MODELS
    assert len(samples) < MOST_SAMPLES

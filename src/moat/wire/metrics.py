"""Metrics of runs, as a supervisor answers them and as Prometheus reads them. Pure.

The text is OpenMetrics 1.0, which Prometheus and its relatives take. Families are fixed here, so that
samples of many runs make one text in which each family stands once, whatever versions of Moat they have.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
MOST_SAMPLES: Final = 500
"""Samples of one run: it can name models and events as it likes, so their number is bounded."""
_LONGEST_LABEL: Final = 200


class Family(NamedTuple):
    """A metric: its kind, and what it counts."""

    kind: str
    """`gauge`, `counter` or `info`."""
    help: str


FAMILIES: Final[Mapping[str, Family]] = {
    "moat_runs": Family("gauge", "Runs in the store, by state."),
    "moat_runs_waiting": Family("gauge", "Runs that wait for their user."),
    "moat_disk_bytes": Family("gauge", "What the store takes of the disk, by part, as measured."),
    "moat_run_up": Family("gauge", "Whether the supervisor of a living run has answered."),
    "moat_run": Family("info", "A living run."),
    "moat_run_state": Family("gauge", "The state of a run, by its label."),
    "moat_run_created_timestamp_seconds": Family("gauge", "When the run was created."),
    "moat_run_waits": Family("gauge", "Whether the run waits for its user."),
    "moat_run_viewers": Family("gauge", "Clients that watch the run."),
    "moat_run_sessions": Family("gauge", "Commands in the sandbox that have not ended."),
    "moat_run_requests": Family("counter", "Requests and tunnels that were charged to the run."),
    "moat_run_sent_bytes": Family("counter", "Bytes that the run has sent."),
    "moat_run_tokens": Family("counter", "Tokens of language models."),
    "moat_run_cost_dollars": Family("counter", "Cost of language models that have a price."),
    "moat_run_unpriced_tokens": Family("counter", "Tokens of models without a price."),
    "moat_run_model_requests": Family("counter", "Answers of a language model, since this supervisor."),
    "moat_run_model_tokens": Family("counter", "Tokens by language model, since this supervisor."),
    "moat_run_denials": Family("counter", "What the network has refused, since this supervisor."),
    "moat_run_events": Family("counter", "Events by kind, since this supervisor."),
    "moat_run_fault": Family("gauge", "Parts of the run that do not work as they should."),
    "moat_supervisor_start_timestamp_seconds": Family("gauge", "When the supervisor began."),
    "moat_supervisor_cpu_seconds": Family("counter", "Processor time of the supervisor."),
    "moat_supervisor_memory_bytes": Family("gauge", "Resident memory of the supervisor."),
}  # fmt: skip


class Sample(NamedTuple):
    """One number."""

    family: str
    value: float
    labels: Mapping[str, str] = {}


def text(samples: Iterable[Sample]) -> str:
    """Return the exposition of samples; those of unknown families, and repeated ones, are left out."""
    lines: dict[str, dict[str, str]] = {name: {} for name in FAMILIES}
    for family, value, labels in samples:
        if family in lines:
            lines[family].setdefault(_labels(labels), _number(value))
    pieces: list[str] = []
    for name, (kind, help_) in FAMILIES.items():
        if not lines[name]:
            continue
        pieces.append(f"# TYPE {name} {kind}\n# HELP {name} {help_}\n")
        suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
        pieces += [f"{name}{suffix}{labels} {value}\n" for labels, value in lines[name].items()]
    return "".join(pieces) + "# EOF\n"


def as_json(samples: Iterable[Sample]) -> list[list[Any]]:
    return [[each.family, each.value, dict(each.labels)] for each in samples]


def from_json(value: object) -> list[Sample]:
    """Return the samples that a supervisor has answered. Raises `ValueError`."""
    try:
        found = [Sample(*_sample(each)) for each in cast("list[Any]", value)[: MOST_SAMPLES * 2]]
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(f"no samples: {exc}") from exc
    return found


def _sample(each: Any) -> tuple[str, float, dict[str, str]]:
    family, value, labels = each
    return str(family), float(value), {str(key): str(label) for key, label in labels.items()}


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


_UNPRINTABLE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _escaped(value: str) -> str:
    """Return a label's value, in which a run may have put anything."""
    plain = _UNPRINTABLE.sub("�", value[:_LONGEST_LABEL])
    return plain.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) else repr(value)

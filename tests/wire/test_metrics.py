"""Metrics as text: what Prometheus's own parser reads in it."""

from __future__ import annotations

import json
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from moat.wire import metrics
from moat.wire.metrics import FAMILIES, Sample


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {
        sample.name: [(each.labels, each.value) for each in family.samples]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_families_of_several_runs_stand_once() -> None:
    """OpenMetrics has all samples of a family together, whoever has told them."""
    samples = [
        Sample("moat_run_requests", 3, {"run": "a"}),
        Sample("moat_run_viewers", 1, {"run": "a"}),
        Sample("moat_run_requests", 2.5, {"run": "b"}),
        Sample("moat_run", 1, {"run": "a", "version": "1"}),
    ]
    assert parsed(metrics.text(samples)) == {
        "moat_run_info": [({"run": "a", "version": "1"}, 1.0)],
        "moat_run_viewers": [({"run": "a"}, 1.0)],
        "moat_run_requests_total": [({"run": "a"}, 3.0), ({"run": "b"}, 2.5)],
    }


def test_without_samples_there_is_an_end() -> None:
    """An empty exposition is one."""
    assert metrics.text([]) == "# EOF\n"


def test_what_would_make_it_invalid_is_left_out() -> None:
    """A family that this version doesn't know, and the same sample twice."""
    twice = [
        Sample("moat_run_viewers", 1),
        Sample("moat_run_viewers", 2),
        Sample("from_tomorrow", 1),
    ]
    assert parsed(metrics.text(twice)) == {"moat_run_viewers": [({}, 1.0)]}


@given(st.text(), st.floats(allow_nan=False))
def test_labels_and_numbers_survive_whatever_they_are(label: str, value: float) -> None:
    """A run names itself and its models; no text of it begins a line or ends a label."""
    text = metrics.text([Sample("moat_run_state", value, {"state": label})])
    [(labels, number)] = parsed(text)["moat_run_state"]
    assert number == value
    assert "\n" not in text.splitlines()[2]
    assert not any(unicodedata.category(each) == "Cc" and each != "\n" for each in labels["state"])
    if label.isprintable() and len(label) <= 200:
        assert labels["state"] == label


def test_numbers_that_are_none_have_words() -> None:
    """As the format spells them."""
    infinite = [
        Sample("moat_disk_bytes", value, {"part": str(value)})
        for value in (math.inf, -math.inf, math.nan)
    ]
    assert metrics.text(infinite).splitlines()[2:5] == [
        'moat_disk_bytes{part="inf"} +Inf',
        'moat_disk_bytes{part="-inf"} -Inf',
        'moat_disk_bytes{part="nan"} NaN',
    ]  # fmt: skip


def test_samples_travel_as_json() -> None:
    """From a supervisor to whoever gathers them."""
    samples = [Sample("moat_run_viewers", 1, {"run": "a"}), Sample("moat_runs", 2.5)]
    assert metrics.from_json(json.loads(json.dumps(metrics.as_json(samples)))) == samples


@pytest.mark.parametrize("value", [3, [3], [["a"]], [["a", "b", {}]], [["a", 1, 2]]])
def test_other_json_is_refused(value: object) -> None:
    """By an error that whoever gathers them expects."""
    with pytest.raises(ValueError, match=r"."):
        metrics.from_json(value)


def test_every_family_is_explained() -> None:
    """By a name that Prometheus's own rules like, and a sentence."""
    for name, (kind, text) in FAMILIES.items():
        assert kind in {"gauge", "counter", "info"}
        assert not name.endswith(("_total", "_info"))
        assert text.endswith(".")

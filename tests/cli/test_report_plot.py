"""A sum over time as a picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.report_plot import HEIGHT, MOST_STEPS, WIDTH, plot, sums

POINTS = st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 1 << 50)), max_size=50)


@given(points=POINTS, start=st.floats(0, 1e9), length=st.floats(0, 1e6))
def test_every_sum_is_a_picture(
    points: list[tuple[float, int]], start: float, length: float
) -> None:
    """Well-formed, and within its bounds; without anything to add there is none."""
    picture = plot(points, start, start + length, "tokens")
    if not points:
        assert picture == ""
        return
    line = ET.fromstring(picture).find("polyline")
    assert line is not None
    for corner in line.attrib["points"].split():
        across, down = map(float, corner.split(","))
        assert 0 <= across <= WIDTH
        assert 0 <= down <= HEIGHT
    assert f"{sum(amount for _, amount in points):,} tokens" in picture


@given(points=POINTS)
def test_a_sum_only_grows(points: list[tuple[float, int]]) -> None:
    """The last step is the sum of all."""
    found = [total for _, total in sums(points)]
    assert found == sorted(found)
    assert found[-1:] == ([sum(amount for _, amount in points)] if points else [])


@pytest.mark.parametrize("count", [1, MOST_STEPS, MOST_STEPS + 1, 10_000])
def test_many_steps_are_thinned(count: int) -> None:
    """No picture is large, and each ends at the sum of all."""
    points = [(float(number), 1) for number in range(count)]
    assert len(sums(points)) <= MOST_STEPS + 1
    assert sums(points)[-1] == (count - 1.0, count)
    assert len(re.findall(",", plot(points, 0.0, count, "tokens"))) < 10 * MOST_STEPS

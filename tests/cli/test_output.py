"""Tables, ages, JSON."""

from __future__ import annotations

import calendar
import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.output import age, print_json_array, seconds_since_epoch, table

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2026-01-01T00:00:00.000Z", "now"),
        ("2026-01-01T00:00:05.000Z", "now"),
        ("2025-12-31T23:59:59.000Z", "1 second ago"),
        ("2025-12-31T23:57:00.000Z", "3 minutes ago"),
        ("2025-12-31T22:59:00.000Z", "1 hour ago"),
        ("2025-12-29T23:00:00.000Z", "2 days ago"),
    ],
)
def test_ages_are_for_people(timestamp: str, text: str) -> None:
    """One unit, rounded down; a clock that was set back makes no future."""
    assert age(timestamp, NOW) == text


@given(st.datetimes())
def test_times_are_read_as_utc(moment: object) -> None:
    """For any day of the calendar."""
    text = f"{moment.isoformat(timespec='milliseconds')}Z"  # type: ignore[attr-defined]
    assert seconds_since_epoch(text) == calendar.timegm(moment.timetuple())  # type: ignore[attr-defined]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """And no line ends in spaces."""
    assert table(("A", "BB"), [("xxx", ""), ("y", "z")]) == "A    BB\nxxx\ny    z\n"


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none())))
def test_arrays_are_json_with_a_line_for_each_item(items: list[dict[str, object]]) -> None:
    """Whatever is in them."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stdout, "write", lines.append)
        print_json_array(items)
    text = "".join(lines)
    assert json.loads(text) == items
    assert text.count("\n") == (len(items) + 2 if items else 1)


def test_colours_are_for_terminals_that_want_them() -> None:
    """no-color.org: any value that is not empty turns them off."""
    script = "from moat.cli.output import colours; print(len(colours()))"
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"0\n"
    for no_color, expected in (("", False), ("1", True)):
        master, slave = pty.openpty()
        environment = {**os.environ, "NO_COLOR": no_color}
        subprocess.run(command, stdout=slave, check=True, env=environment)
        os.close(slave)
        assert (os.read(master, 100).strip() == b"0") is expected
        os.close(master)

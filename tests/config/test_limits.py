"""Upper bounds from the command line, the project and the user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moat.config.limits import join
from moat.errors import UsageError
from moat.spec.run import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("project", "own", "expected"),
    [
        ({}, {}, Limits()),
        ({"memory": "2g"}, {}, Limits(memory=2 << 30)),
        ({}, {"memory": "1g", "cpus": 2, "pids": 9}, Limits(1 << 30, 2, 9)),
        ({"memory": "64g", "pids": 5}, {"memory": "1g", "pids": 9}, Limits(1 << 30, pids=5)),
    ],
)
def test_a_project_can_lower_the_users_limits_and_not_raise_them(
    project: Mapping[str, Any], own: Mapping[str, Any], expected: Limits
) -> None:
    """Of the project's and the user's limit, the lower one counts."""
    assert join({}, project, own) == (expected, None)


def test_the_command_line_wins() -> None:
    """An option counts, whatever the files say."""
    options = {"memory": "4g", "cpus": None, "pids": None, "timeout": "2h"}
    joined = join(options, {"memory": "1g", "timeout": "1m"}, {"cpus": 1.5, "timeout": 5})
    assert joined == (Limits(4 << 30, 1.5), 7200.0)


def test_the_shorter_timeout_counts() -> None:
    """Timeouts are compared as times, not as they are written."""
    assert join({}, {"timeout": "2m"}, {"timeout": "90s"}) == (Limits(), 90.0)


def test_an_option_that_is_no_amount_is_an_error() -> None:
    """The amounts of the command line have been checked by nobody before."""
    with pytest.raises(UsageError):
        join({"memory": "lots"}, {}, {})

"""What is said of requests that wait for the user."""

from __future__ import annotations

import pytest

from moat.supervisor.questions import notice

ONE = "a.test waits for an answer: moat allow fix a.test, or deny"
MANY = (
    "64 hosts wait for an answer: 0.test, 1.test, 2.test, 3.test, 4.test, 5.test, 6.test, 7.test"
    " and 56 more; moat allow fix HOST, or deny"
)


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        (["a.test"], ONE),
        (["a.test", "a.test"], ONE),  # two ports of it
        (
            ["b.test", "a.test"],
            "2 hosts wait for an answer: b.test, a.test; moat allow fix HOST, or deny",
        ),
        (
            [f"{number}.test" for number in range(64)],
            MANY,
        ),
    ],
)
def test_all_that_wait_are_told_in_one_line(hosts: list[str], said: str) -> None:
    """Those named first that are new; of very many, how many there are."""
    assert notice(hosts, "fix") == said

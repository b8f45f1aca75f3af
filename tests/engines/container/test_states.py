"""The words of engines for what a container does."""

from __future__ import annotations

from typing import Any

import pytest

from moat.engines.container.states import Condition, ContainerState


@pytest.mark.parametrize(
    ("word", "condition"),
    [
        ("created", Condition.CREATED),
        ("configured", Condition.CREATED),
        ("running", Condition.RUNNING),
        ("paused", Condition.PAUSED),
        ("exited", Condition.ENDED),
        ("stopped", Condition.ENDED),
        ("dead", Condition.ENDED),
        ("removing", Condition.GOING),
        ("restarting", Condition.GOING),
        ("hibernating", Condition.UNKNOWN),
    ],
)
def test_a_word_has_one_meaning(word: str, condition: Condition) -> None:
    """A word that nobody knows means nothing, and is no reason to act."""
    assert ContainerState.of({"State": {"Status": word}}).condition is condition


def test_a_whole_description() -> None:
    """Docker's answer, in the parts that matter."""
    state = {"Status": "exited", "Pid": 0, "OOMKilled": True, "Error": "no such file"}
    assert ContainerState.of({"State": state}) == ContainerState(
        Condition.ENDED, None, out_of_memory=True, error="no such file"
    )
    assert ContainerState.of({"State": {"Status": "running", "Pid": 7}}).pid == 7


@pytest.mark.parametrize("answer", [{}, {"State": None}, {"State": "running"}, {"State": {}}])
def test_a_description_without_a_state_tells_nothing(answer: dict[str, Any]) -> None:
    """It is no proof that the container has ended."""
    assert ContainerState.of(answer).condition is Condition.UNKNOWN

"""Conditions on runs."""

from __future__ import annotations

from typing import Any

import pytest

from moat.cli.run_filters import RunFilters
from moat.errors import UsageError
from moat.runs.states import State
from moat.runs.store import Run

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def a_run(name: str, **changed: Any) -> Run:
    empty = dict.fromkeys(Run._fields)
    common = {
        "name": name,
        "state": State.RUNNING,
        "workspace": "/projects/app",
        "created_at": "2025-12-31T00:00:00.000Z",
    }
    return Run(**(empty | common | changed))


RUNS = [
    a_run("fix-1", state=State.FAILED, stopped_at="2025-12-31T12:00:00.000Z"),
    a_run("fix-2", state=State.STOPPED, exit_code=3, stopped_at="2025-12-31T23:59:00.000Z"),
    a_run("build", workspace="/projects", waits_for="done"),
    a_run("other", workspace="/projectshop", created_at="2025-12-31T23:50:00.000Z"),
]


def selected(*texts: str) -> list[str]:
    return [run.name for run in RunFilters(texts, NOW).select(RUNS)]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ((), ["fix-1", "fix-2", "build", "other"]),
        (("name=fix-*",), ["fix-1", "fix-2"]),
        (("name=fix-1", "name=other"), ["fix-1", "other"]),
        (("state=failed",), ["fix-1"]),
        (("state=ended",), ["fix-1", "fix-2"]),
        (("state=active", "name=*i*"), ["build"]),
        (("exit=3",), ["fix-2"]),
        (("waits_for=any",), ["build"]),
        (("waits_for=done",), ["build"]),
        (("waits_for=error",), []),
        (("workspace=/projects",), ["fix-1", "fix-2", "build"]),
        (("workspace=/projects/app/",), ["fix-1", "fix-2"]),
        (("workspace=/",), ["fix-1", "fix-2", "build", "other"]),
        (("until=1h",), ["fix-1", "build"]),
        (("until=1h", "state=failed", "state=stopped"), ["fix-1"]),
    ],
)
def test_each_key_has_to_hold_and_one_condition_of_it(
    filters: tuple[str, ...], names: list[str]
) -> None:
    """Conditions with one key are alternatives, and keys are all needed, as Docker has it."""
    assert selected(*filters) == names


@pytest.mark.parametrize(
    "text",
    ["", "name", "nam=x", "state=gone", "exit=x", "exit=-1", "until=soon", "=x", "waits_for=x"],
)
def test_what_is_no_condition_is_an_error(text: str) -> None:
    """Nothing that is misspelt selects all runs, or none."""
    with pytest.raises(UsageError):
        RunFilters([text], NOW)


@pytest.mark.parametrize(
    ("text", "about"), [("state=failed", True), ("exit=0", True), ("name=x", False)]
)
def test_some_conditions_are_about_runs_that_have_ended(text: str, *, about: bool) -> None:
    """Whoever asks for an exit code needn't write `--all`."""
    assert RunFilters([text], NOW).about_ended is about

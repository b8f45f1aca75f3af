"""Each test belongs to a target of the Makefile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.selection import TESTS, Selection

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(TESTS.rglob("test_*.py"))
P, M, U, F, S, A = Selection


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("egress/http/h1/test_parser.py", {P, M, S}),  # imports pure modules alone
        ("egress/tls/test_client_hello.py", {M, S}),  # named after a pure module, and imports ssl
        ("egress/test_gateway.py", {U, S}),
        ("supervisor/test_run.py", {M}),  # beside the tests of a central module
        ("shim/test_shim.py", {U}),
        ("workspace/test_covers.py", {S}),  # starts a sandbox
        ("e2e/test_life.py", {S}),
        ("e2e/agents/test_agents.py", {A}),
        ("fuzz/test_fuzz.py", {F, S}),
    ],
)
def test_a_test_is_told_by_its_imports_and_its_place(name: str, targets: set[Selection]) -> None:
    """One example of each kind."""
    assert {each for each in Selection if each.selects(TESTS / name)} == targets


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_every_test_runs_in_ci(file: Path) -> None:
    """No test is left out of all targets, and none runs in both parts of make unit."""
    assert any(each.selects(file) for each in (M, U, F, S, A))
    assert not (M.selects(file) and U.selects(file))
    assert M.selects(file) >= P.selects(file)

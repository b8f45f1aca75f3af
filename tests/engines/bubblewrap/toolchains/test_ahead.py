"""A search that another process does."""

from __future__ import annotations

import pytest

from moat.engines.bubblewrap.toolchains.ahead import SearchAhead


@pytest.mark.usefixtures("descriptors")
def test_the_result_arrives() -> None:
    """It is what the search has returned."""
    found = {"/sdk": {".npmrc": False, "var": True}}
    assert SearchAhead(lambda: found).result() == found


@pytest.mark.usefixtures("descriptors")
def test_a_failure_is_an_empty_result() -> None:
    """Then the supervisor searches by itself, and says what is wrong."""

    def fail() -> dict[str, dict[str, bool]]:
        raise PermissionError

    assert SearchAhead(fail).result() == {}

"""What the connections of a run may hold together."""

from __future__ import annotations

import pytest

from moat.egress.streams import share


@pytest.mark.parametrize(("connections", "each"), [(1, 256), (128, 256), (256, 128), (4000, 16)])
def test_the_more_there_are_the_less_each_holds(connections: int, each: int) -> None:
    """In KiB: a few have all they can use, thousands don't fill the memory."""
    assert share(connections) == each * 1024

"""The reasons for a router to stay."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from moat.router.main import _has_ports
from moat.runs.states import State

if TYPE_CHECKING:
    from tests.router.conftest import Runs


def test_a_run_with_open_ports_is_one(runs: Runs) -> None:
    """One without, or one that has ended, is none."""
    runs.add("plain")
    assert not _has_ports(runs.home)
    web = runs.add("fix", web=40001)
    assert _has_ports(runs.home)
    runs.update(web, state=State.STOPPED, ports=())
    assert not _has_ports(runs.home)


def test_a_store_that_is_gone_is_none(runs: Runs) -> None:
    """Nor is it made again."""
    shutil.rmtree(runs.home)
    assert not _has_ports(runs.home)
    assert not runs.home.exists()

"""Set-up for all tests. None of them touches the user's own runs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

# Machines that run tests are shared, so the time that an example takes says nothing about the code. The
# examples are the same each time; `pytest --hypothesis-profile=search` looks for new ones.
OF_TIME = [HealthCheck.too_slow]
settings.register_profile("moat", deadline=None, suppress_health_check=OF_TIME, derandomize=True)
settings.register_profile("search", deadline=None, suppress_health_check=OF_TIME, max_examples=1000)
settings.load_profile("moat")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only", type=Selection, help="collect these tests alone (tests/selection.py)"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that `--only` does not select, before they are imported."""
    only: Selection | None = config.getoption("only")
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return True if only and is_test and not only.selects(collection_path) else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what coverage.py has measured: pytest-xdist kills a worker that takes long to end."""
    if hasattr(session.config, "workerinput") and "coverage" in sys.modules:
        from coverage import Coverage  # noqa: PLC0415  only where it measures

        measuring = Coverage.current()
        if measuring is not None:
            measuring.stop()
            measuring.save()


@pytest.fixture(scope="session", autouse=True)
def nobodys_store() -> Iterator[Path]:
    """An empty store for every test that doesn't choose one, in place of `~/.moat`."""
    folder = Path(tempfile.mkdtemp(prefix="moat-"))
    os.environ["MOAT_HOME"] = str(folder)
    yield folder
    shutil.rmtree(folder)

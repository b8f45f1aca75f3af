"""The egress runs on uvloop, and so do its tests; the host's resolver says what they want."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import uvloop
from tests.egress.dialling import Names
from tests.origin import Origin

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """In place of the host's resolver, which no test can make say this."""
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    return found


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as started:
        yield started


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder

"""Views whose supervisors, which tests play, may be slow."""

from __future__ import annotations

import pytest

from moat.client.attach import loan, view


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a thread of a test may answer as late as a supervisor that hangs."""
    monkeypatch.setattr(view, "LEAVE_TIMEOUT_S", 120.0)
    monkeypatch.setattr(loan, "ANSWER_S", 120.0)

"""`telemetry` in the user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config import settings
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def load(home: Path, text: str) -> settings.Settings:
    home.chmod(0o700)
    (home / "config.yaml").write_text(text)
    (home / "config.yaml").chmod(0o600)
    return settings.load(home)


def test_a_collector_is_an_endpoint_with_headers(tmp_path: Path) -> None:
    """Of which only references are in the file."""
    text = (
        "telemetry:\n  otlp:\n    endpoint: http://localhost:4318\n"
        "    headers: {Authorization: 'file:///etc/token'}\n"
    )
    assert load(tmp_path, text).telemetry == {
        "otlp": {
            "endpoint": "http://localhost:4318",
            "headers": {"Authorization": "file:///etc/token"},
        }
    }
    assert load(tmp_path, "{}\n").telemetry == {}


@pytest.mark.parametrize(
    "otlp",
    [
        "{endpoint: localhost}",
        "{endpoint: 'http://me:secret@a.test'}",
        "{headers: {Authorization: Bearer abc}}",
        "{headers: {'a b': 'env://X'}}",
    ],
)
def test_what_would_be_no_header_or_a_secret_is_refused(otlp: str, tmp_path: Path) -> None:
    """The error comes with the line, before anything is started."""
    with pytest.raises(UsageError, match=r"config\.yaml:1: "):
        load(tmp_path, f"telemetry: {{otlp: {otlp}}}\n")

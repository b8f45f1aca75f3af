"""The user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config import settings
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_file_everything_is_default(tmp_path: Path) -> None:
    """No file is made."""
    assert settings.load(tmp_path) == settings.Settings()
    assert not list(tmp_path.iterdir())


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    """Amounts may have units."""
    (tmp_path / "config.yaml").write_text(
        'escape_keys: ""\ninterrupt_window: 3\njournal_limit: 1g\nstop_timeout: 0\n'
        "traffic_limit: 64m\nnotifications: drop\n"
    )
    found = settings.load(tmp_path)
    assert found == settings.Settings(
        escape_keys="",
        interrupt_window=3.0,
        journal_limit=1 << 30,
        stop_timeout=0.0,
        traffic_limit=64 << 20,
        notifications="drop",
    )


@pytest.mark.parametrize(
    "line",
    [
        "scrolback: 1",
        "scrollback: -1",
        "journal_limit: lots",
        "traffic_limit: 1k",
        "notifications: maybe",
        "env: {A: $5}",
        "mounts: [data:/data]",
        "limits: {pids: 0}",
        "router: {port: 65536}",
        "router: {enabled: maybe}",
    ],
)
def test_a_wrong_setting_is_reported_with_its_place(tmp_path: Path, line: str) -> None:
    """The error has the path and the line of the file."""
    (tmp_path / "config.yaml").write_text(f"\n{line}\n")
    with pytest.raises(UsageError, match=r"config\.yaml:2: "):
        settings.load(tmp_path)


def test_the_router_may_have_another_port_or_be_off(tmp_path: Path) -> None:
    """What isn't named is as without a file."""
    (tmp_path / "config.yaml").write_text("router: {port: 0}\n")
    assert settings.load(tmp_path).router == settings.RouterSettings(enabled=True, port=0)
    (tmp_path / "config.yaml").write_text("router: {enabled: false}\n")
    assert settings.load(tmp_path).router == settings.RouterSettings(enabled=False, port=8080)


def test_every_setting_has_a_field() -> None:
    """The table of the file and the dataclass have the same names."""
    assert settings.fields().keys() == settings.Settings.__dataclass_fields__.keys()


def test_variables_mounts_and_limits_of_all_runs(tmp_path: Path) -> None:
    """The settings take what agent.yaml takes, with sources of mounts that hold in any folder."""
    (tmp_path / "config.yaml").write_text(
        "env: {TOKEN: , A: x}\nmounts: [~/data:/data:ro]\nlimits: {pids: 9}\n"
    )
    found = settings.load(tmp_path)
    assert found.env == {"TOKEN": None, "A": "x"}
    assert found.mounts == ("~/data:/data:ro",)
    assert found.limits == {"pids": 9}

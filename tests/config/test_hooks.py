"""`on_event` and `notify` in the user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config import hooks, settings
from moat.config.agent_file import FIELDS
from moat.errors import UsageError
from moat.spec import EventHook

if TYPE_CHECKING:
    from pathlib import Path


def load(home: Path, text: str) -> settings.Settings:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / settings.FILE).write_text(text)
    return settings.load(home)


def test_hooks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the user's home in the program's path, and nothing else is changed."""
    monkeypatch.setenv("HOME", "/home/me")
    hook = "{command: [~/tell, ~/x, $A], events: [waiting_changed, denied]}"
    found = load(tmp_path / "home", f"notify: desktop\non_event: [{hook}]\n")
    command = ("/home/me/tell", "~/x", "$A")
    assert found.on_event == (EventHook(command=command, events=("waiting_changed", "denied")),)
    assert found.notify == "desktop"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("on_event: [{command: [x], events: [nothing]}]", "there is no event 'nothing'"),
        ("on_event: [{command: [./x], events: [denied]}]", "'./x' is relative"),
        ("on_event: [{command: [], events: [denied]}]", "it has no word"),
        ("on_event: [{command: [x]}]", "events is missing"),
        ("on_event: [{events: [denied]}]", "command is missing"),
        ("on_event: [{command: x, events: [denied]}]", "must be a list of strings"),
        ("notify: loud", "must be one of off, bell, desktop"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, error: str) -> None:
    """Like any other of the settings."""
    with pytest.raises(UsageError, match=r"config\.yaml:1: ") as caught:
        load(tmp_path / "home", line)
    assert error in caught.value.summary


def test_a_project_starts_nothing_on_the_host() -> None:
    """Its file has no such fields."""
    assert not {"on_event", "notify"} & FIELDS.keys()
    assert "waiting_changed" in hooks.KINDS

"""The launcher knows frames, defaults and surroundings that Python knows, too: they are the same."""

from __future__ import annotations

import re
from pathlib import Path

from moat.cli.plain.dispatch import _FOR_CLICK
from moat.client.attach.handover import VARIABLE
from moat.client.attach.loan import LENDING_LEVEL
from moat.config.settings import FILE, Settings
from moat.keyboard.key_names import parse_escape_prefix
from moat.paths import RunFolder
from moat.runs.states import ENDED, State
from moat.wire import frames, http, messages

SOURCE = (Path(__file__).parents[1] / "launcher/moat.c").read_text()


def test_frames() -> None:
    """Each by its name and number; the largest payload; the header; the level."""
    (listed,) = re.findall(r"enum \{\n(    HELLO = .*?)\};", SOURCE, re.DOTALL)
    known = dict(re.findall(r"(\w+) = (\d+)", listed))
    assert len(known) > 15
    assert known == {name: str(int(frames.FrameType[name])) for name in known}
    assert "MAX_PAYLOAD = 1 << 20" in SOURCE
    assert frames.MAX_PAYLOAD == 1 << 20
    assert f"HEADER = {frames.HEADER.size}," in SOURCE
    assert f"LEVEL = {LENDING_LEVEL}" in SOURCE
    assert f"Upgrade: {messages.UPGRADE}\\r\\n" in SOURCE
    assert f"{http.LEVEL_HEADER}: " in SOURCE


def test_defaults() -> None:
    """Of whoever has no settings of their own, which it looks for by the name of their file."""
    defaults = dict(re.findall(r'#define (\w+) "(.*)"', SOURCE))
    settings = Settings()
    assert defaults["PREFIX"] == parse_escape_prefix(settings.escape_keys).hex()
    assert float(defaults["PREFIX_TIMEOUT"]) == settings.prefix_timeout
    assert float(defaults["INTERRUPT_WINDOW"]) == settings.interrupt_window
    assert settings.status_row
    assert f'"%s/{FILE}"' in SOURCE


def test_surroundings() -> None:
    """Variables that mean something else, states of runs that go on, and names of files."""
    for name in (*_FOR_CLICK, VARIABLE, "MOAT_RUN", "MOAT_HOME"):
        assert f'"{name}"' in SOURCE
    for state in State:
        assert (f"'{state}'" in SOURCE) is (state not in ENDED)
    assert f"/{RunFolder.SUPERVISOR_SOCKET}" in SOURCE
    assert "/disarmed.txt" in SOURCE

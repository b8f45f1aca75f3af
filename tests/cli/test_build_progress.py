"""What is shown of a build, on a terminal and elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from moat.cli.build_progress import BuildProgress

if TYPE_CHECKING:
    import pytest


def a_build() -> None:
    progress = BuildProgress()
    progress.waits()
    progress.begins(["jq", "node@22"])
    progress.step(0)
    progress.line("Get:1 jq " + "x" * 200)
    progress.step(1)
    progress.line("Collecting node")
    progress.fails(["E: no", "E: node"])
    progress.ends()


def test_elsewhere_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A log gets what is made, and how it failed."""
    a_build()
    assert capsys.readouterr().err == (
        "moat: another image is being made for this store; waiting for its end\n"
        "moat: making an image, once for these dependencies: jq, node@22\n"
        "  E: no\n  E: node\n"
    )


def test_on_a_terminal_a_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits the terminal, and is gone before the next line that stays."""
    keyboard, tty = os.openpty()
    try:
        with os.fdopen(tty, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))
            a_build()
            terminal.flush()
            written = b""
            while not written.endswith(b"E: node\r\n"):
                written += os.read(keyboard, 1 << 16)
    finally:
        os.close(keyboard)
    text = written.decode().replace("\r\n", "\n")
    assert f"\r\x1b[K      Get:1 jq {'x' * 23}…\r\x1b[Kmoat: 2/2 node@22\n" in text
    assert text.endswith("Collecting node\r\x1b[K  E: no\n  E: node\n")

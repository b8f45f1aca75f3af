"""The browser that a page is opened in, and what is never started for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.ground import browser, programs
from moat.ground.browser import open_on_desktop, open_page

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:40123"


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def program(path: Path) -> Path:
    """A program that writes down its arguments beside itself."""
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.opened"\n')
    path.chmod(0o755)
    return path


def opened(path: Path) -> list[str]:
    return path.with_name(f"{path.name}.opened").read_text().splitlines()


def test_the_users_browser_gets_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind its other arguments, or in the place that they name; the first one that exists."""
    chosen = program(tmp_path / "browser")
    monkeypatch.setenv("BROWSER", f"{chosen} --new")
    assert open_page(URL)
    assert opened(chosen) == ["--new", URL]
    monkeypatch.setenv("BROWSER", f"/absent:':{chosen} --url=%s --new")
    assert open_page(URL)
    assert opened(chosen) == [f"--url={URL}", "--new"]


def test_a_browser_by_its_name_is_not_looked_for_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH may lead into a project first, where a run writes."""
    program(tmp_path / "planted-browser")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("BROWSER", "planted-browser")
    assert not open_page(URL)


def test_the_desktops_opener_is_asked_where_there_is_a_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, and without $BROWSER, nothing is opened."""
    opener = program(tmp_path / "xdg-open")
    monkeypatch.setattr(programs, "PLACES", (str(tmp_path),))
    assert not open_on_desktop(URL)
    monkeypatch.setenv("DISPLAY", ":0")
    assert open_page(URL)
    assert opened(opener) == [URL]
    monkeypatch.setattr(programs, "PLACES", ())
    assert not browser.open_page(URL)

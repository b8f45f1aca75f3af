"""`moat deps`: what is known, and how it would be installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moat.cli import deps
from moat.cli.main import run
from moat.dependencies import catalog
from moat.engines import registry
from moat.engines.container.images import MadeImage

if TYPE_CHECKING:
    import pytest


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """It needs no word of its own, and programs can read it."""
    assert run(["deps"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("NAME")
    assert "ripgrep" in text
    assert run(["deps", "list", "--json"]) == 0
    known = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert known["node"]["default"] == "22"
    assert known["claude-code"]["requires"] == ["node"]


def test_one_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is from, and how it is verified."""
    assert run(["deps", "info", "java"]) == 0
    text = capsys.readouterr().out
    assert "default-jdk-headless, openjdk-{version}-jdk-headless" in text
    assert "java -version" in text
    assert run(["deps", "info", "claude-code", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["npm"] == "@anthropic-ai/claude-code"
    assert run(["deps", "info", "jav"]) == 2
    assert "Did you mean java?" in capsys.readouterr().err


def test_a_recipe_before_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """A user reads what an engine would get."""
    assert run(["deps", "recipe", "jq", "npm:x@1", "--image", "mine:1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "FROM mine:1"
    assert lines[-1] == 'RUN ["/opt/moat/install", "npm", "x@1"]'
    assert run(["deps", "recipe", "npm:--global"]) == 2
    assert "is no dependency" in capsys.readouterr().err
    assert run(["deps", "recipe", "jq", "--image", "a b"]) == 2


def test_the_images(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With what they have, which a label says and nobody may act on a terminal by."""
    assert run(["deps", "images"]) == 0
    assert "No image was made yet" in capsys.readouterr().out
    image = MadeImage("podman", "localhost/moat/run:1", "jq \x1b[2J", 0, 12_345_678)
    monkeypatch.setattr(registry, "made_images", lambda _: [image])
    assert run(["deps", "images"]) == 0
    text = capsys.readouterr().out
    assert "localhost/moat/run:1" in text
    assert "12 MB" in text
    assert "jq \\x1b[2J" in text
    assert run(["deps", "images", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["created_at"] == "1970-01-01T00:00:00.000Z"


def test_versions_in_words() -> None:
    """The list says where a version comes from."""

    shown = {
        name: deps._versions(catalog.find(name)) for name in ("git", "java", "node", "uv", "codex")
    }
    assert shown == {
        "git": "the distribution's",
        "java": "the distribution's, or its others",
        "node": "any of PyPI's (22)",
        "uv": "any of PyPI's",
        "codex": "any of npm's",
    }

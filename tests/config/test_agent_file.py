"""agent.yaml: the requests of a project, and those that it must not make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config import agent_file
from moat.config.original_fields import INSTEAD
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def load(folder: Path, text: str) -> Mapping[str, object]:
    path = folder / "agent.yaml"
    path.write_text(text)
    return agent_file.load(path).content


def test_a_whole_file(tmp_path: Path) -> None:
    """Every field is read."""
    found = load(
        tmp_path,
        "name: fix\ncommand: claude --print 'a b'\ninteractive: true\nenv: {A: 1}\n"
        "base_image: debian:stable\ndependencies: [node@22]\nmounts: [data:/data:ro]\n"
        "exclude: [.env, secrets/]\n"
        "limits: {memory: 8G, cpus: 1.5, pids: 100, timeout: 2h}\n"
        "ports: {web: 3000}\n"
        "network: {policy: strict}\nsecrets: {TOKEN: env://TOKEN}\ngrants: [github]\n"
        "protected_paths: [{path: deploy/*.sh, program: ours, treatment: watched}]\n"
        "workspace: {mode: copy}\nvolumes: [{name: cache, target: /cache}]\n"
        "mcp: [{name: issues, url: 'https://mcp.test/mcp', grant: issues, allow: [get_*]}]\n"
        "services: {db: postgres@17}\n",
    )
    assert found.keys() == agent_file.FIELDS.keys()


def test_fields_of_the_original(tmp_path: Path) -> None:
    """A field that Moat once had, or has elsewhere, is refused with what to write in its place."""
    with pytest.raises(UsageError, match=r"agent\.yaml:2: unknown field 'runtime'") as caught:
        load(tmp_path, "name: fix\nruntime: docker\n")
    assert caught.value.hint == INSTEAD["runtime"]
    assert not INSTEAD.keys() & agent_file.FIELDS.keys()
    with pytest.raises(UsageError, match="unknown field 'version'") as caught:
        load(tmp_path, "network: {version: 1}\n")
    assert caught.value.hint != INSTEAD["version"]


@pytest.mark.parametrize(
    "text",
    [
        "name: Not This",
        "command: echo 'open",
        "command: []",
        "command: '  '",
        "env: {A=B: 1}",
        "secrets: {A-B: env://X}",
        "secrets: {A: hunter2}",
        "secrets: {A: file://.env}",
        "mounts: [/etc:/data]",
        "mounts: [~/.ssh:/data]",
        "mounts: [../other:/data]",
        "mounts: [a/../../b:/data]",
        "mounts: [data]",
        "base_image: ''",
        "base_image: a b",
        "ports: {web: many}",
        "ports: {Web: 3000}",
        "ports: {web: '0.0.0.0:3000'}",
        "exclude: [/etc]",
        "exclude: [../x]",
        "exclude: ['']",
        "limits: {memory: much}",
        "limits: {cpus: 0}",
        "limits: {pids: -1}",
        "limits: {timeout: soon}",
        "limits: {disk: 1g}",
    ],
)
def test_what_can_not_be_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    """The error comes before anything is started."""
    with pytest.raises(UsageError, match=r"agent\.yaml:2: "):
        load(tmp_path, f"# a comment\n{text}\n")


def test_a_mount_from_outside_is_for_the_command_line(tmp_path: Path) -> None:
    """The sandbox can write this file where there was none; the hint is what the user would type."""
    with pytest.raises(UsageError) as raised:
        load(tmp_path, "mounts: ['~/.ssh:/keys']\n")
    assert raised.value.hint is not None
    assert "moat run -m '~/.ssh:/keys'" in raised.value.hint


def test_both_spellings_of_the_file_are_found(tmp_path: Path) -> None:
    """Two files at once are an error, because Moat can't know which one is meant."""
    assert agent_file.find(tmp_path) is None
    (tmp_path / "moat.yaml").touch()
    assert agent_file.find(tmp_path) == tmp_path / "moat.yaml"
    (tmp_path / "agent.yaml").touch()
    with pytest.raises(UsageError, match="both"):
        agent_file.find(tmp_path)


def test_a_linked_file_is_refused(tmp_path: Path) -> None:
    """A run could have made the link, and it may lead to any file of the user."""
    (tmp_path / "agent.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="symbolic link"):
        agent_file.find(tmp_path)

"""Volumes: folders that last from run to run, for the runs of one project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.conftest import ON_EVERY_ENGINE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat


@ON_EVERY_ENGINE
def test_a_volume_lasts_for_the_runs_of_its_project(moat: Moat, project: Path) -> None:
    """Another project has its own; a run that may only read it can't write; a living run keeps it."""
    volume = ("--volume", "cache:/cache")
    moat.ok("run", *volume, "--", "sh", "-c", "echo kept > /cache/file", cwd=project)
    assert moat.ok("run", *volume, "--", "cat", "/cache/file", cwd=project) == "kept\n"
    read_only = ("--volume", "cache:/cache:ro", "--", "sh", "-c", "echo x > /cache/file")
    assert moat("run", *read_only, cwd=project).returncode != 0
    assert moat("run", *volume, "--", "ls", "/cache").stdout == ""
    listed = [(each["name"], each["project"]) for each in moat.json("volume", "list", "--json")]
    assert sorted(listed) == sorted([("cache", str(project)), ("cache", str(moat.workspace))])

    moat.ok("run", "-d", "-n", "alive", *volume, "--", "sleep", "1000", cwd=project)
    refused = moat("volume", "rm", "cache", cwd=project)
    assert (refused.returncode, "the run alive uses" in refused.stderr) == (2, True)
    moat.ok("kill", "alive")
    moat.ok("wait", "alive")
    moat.ok("volume", "rm", "cache", cwd=project)
    assert [each["project"] for each in moat.json("volume", "list", "--json")] == [
        str(moat.workspace)
    ]


def test_a_project_asks_for_volumes_with_consent(moat: Moat, project: Path) -> None:
    """The field is the original's; nothing is made before somebody has agreed, or for a bad name."""
    file = project / "agent.yaml"
    file.write_text("volumes:\n  - { name: data, target: /data }\n")
    refused = moat("run", "--", "true", cwd=project)
    assert (refused.returncode, "name: data, target: /data" in refused.stderr) == (3, True)
    file.write_text("volumes:\n  - { name: ../data, target: /data }\n")
    assert moat("run", "--trust-project", "--", "true", cwd=project).returncode == 2
    for target in ("/usr", "/workspace/gone", "/etc/x"):
        words = ("--volume", f"x:{target}", "--trust-project", "--", "true")
        file.write_text("name: x\n")
        assert moat("run", *words, cwd=project).returncode == 125
    assert moat.json("volume", "list", "--json") == []
    file.write_text("volumes:\n  - { name: data, target: /data }\n")
    moat.ok("run", "--trust-project", "--", "touch", "/data/x", cwd=project)
    assert moat("volume", "prune", "--yes").stdout == ""
    moat.ok("prune", "--yes")
    assert moat.ok("volume", "prune", "--yes") == "data\n"

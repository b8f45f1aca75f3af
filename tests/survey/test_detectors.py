"""The table of detectors."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from moat.dependencies.catalog import ENTRIES
from moat.spec.dependency import Dependency
from moat.survey.detectors import DETECTORS
from moat.survey.finding import Finding, hosts

TEXTS = ("", "filter=lfs", "[tool.poetry]\n[tool.ruff]\n[tool.uv]", '{"packageManager": "yarn@1"}')


def reading(folder: str, name: str) -> list[Finding]:
    found = [each.detect("A=1\nexport B=2") for each in DETECTORS if each.reads(folder, name)]
    return list(chain.from_iterable(found))


def test_every_dependency_is_in_the_registry() -> None:
    """What is found can be installed."""
    for detector in DETECTORS:
        for finding in chain.from_iterable(map(detector.detect, TEXTS)):
            if finding.kind == "dependency":
                wanted = Dependency.parse(finding.name)
                assert wanted.kind or ENTRIES.get(wanted.name), finding


def test_no_pattern_is_given_twice() -> None:
    """Each file has one place in the table."""
    names = Counter(chain.from_iterable(each.names for each in DETECTORS if each.folder == "*"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("folder", "name", "found"),
    [
        ("", "gradlew", [Finding("dependency", "java")]),
        ("web", "pnpm-lock.yaml", [Finding("dependency", "pnpm")]),
        ("", ".env.example", [Finding("name", "A"), Finding("name", "B")]),
        ("", ".env", []),
        ("", ".gitlab-ci.yml", []),
        ("", "requirements-dev.txt", [Finding("dependency", "python")]),
    ],
)
def test_files_by_name(folder: str, name: str, found: list[Finding]) -> None:
    """Files of this name are read, and the user's own .env isn't."""
    assert reading(folder, name) == found


def test_workflows_are_read_where_they_lie() -> None:
    """A YAML file elsewhere is none."""
    assert [each.reads(".github/workflows", "a.yml") for each in DETECTORS].count(True) == 1
    assert not any(each.reads("", "a.yml") for each in DETECTORS)


def test_hosts_of_addresses() -> None:
    """Each once, in lower case, and with its port."""
    text = "https://A.example/x http://b.example:8080 https://a.example ftp://c.example"
    assert [each.name for each in hosts(text)] == ["a.example", "b.example:8080"]
    assert [each.name for each in hosts("https://A.example https://a.example")] == ["a.example"]


@pytest.mark.parametrize(
    ("name", "value", "is_readable"),
    [("a", "b", True), ("a\u2028b", "", False), ("a", "\x1b[2J", False), ("a", "b" * 121, False)],
)
def test_what_can_be_shown(name: str, value: str, *, is_readable: bool) -> None:
    """A line of print and no more."""
    assert Finding("variable", name, value).is_readable is is_readable

"""Findings made into lines and suggestions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moat.config.ports import MOST_PORTS
from moat.survey.finding import Finding, Kind
from moat.survey.proposal import Line, Proposal, propose

if TYPE_CHECKING:
    from collections.abc import Sequence


def proposed(*findings: tuple[Kind, str, str], images: bool = False, **existing: Any) -> Proposal:
    """Return what is proposed for findings of one file, where only node and pnpm have all versions."""
    found = [Finding(*each, source="file") for each in findings]
    return propose(found, existing, {"node", "pnpm"}.__contains__, images=images)


def values(lines: Sequence[Line]) -> list[str]:
    return [f"{each.name}={each.value}" if each.name else each.value for each in lines]


def test_dependencies_in_an_image() -> None:
    """Each once, with the first version that is one and that can be had; the comment says the others."""
    lines = proposed(
        ("dependency", "node", ""),
        ("dependency", "node", "v22.3.0"),
        ("dependency", "node", "18"),
        ("dependency", "pnpm", "9.1.0"),
        ("dependency", "python", "3.12"),
        ("dependency", "npm:bun", ""),
        images=True,
    ).lines
    assert lines == (
        Line(("dependencies",), "", "node@22", "file"),
        Line(("dependencies",), "", "pnpm@9.1.0", "file"),
        Line(("dependencies",), "", "python", "file: 3.12"),
        Line(("dependencies",), "", "npm:bun", "file"),
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22.x", "node@22"),
        ("^20.1", "node@20"),
        ("=20", "node@20"),
        ("lts/*", "node"),
        (">=20", "node"),
    ],
)
def test_versions(text: str, value: str) -> None:
    """Ranges and names of versions are for the user to decide."""
    [line] = proposed(("dependency", "node", text), images=True).lines
    assert line.value == value
    assert line.comment == ("file" if "@" in value else f"file: {text}")


def test_dependencies_without_an_image() -> None:
    """They are a suggestion, for they would have runs made by another engine."""
    found = proposed(("dependency", "node", "22"), ("dependency", "go", ""))
    assert found.lines == ()
    assert found.suggestions[0].endswith("dependencies: [node@22, go]")


def test_variables() -> None:
    """The first value counts; what decides about programs and trust is nobody's to propose."""
    names = ("A", "A", "PATH", "LD_PRELOAD", "https_proxy", "NODE_OPTIONS", "SSL_CERT_FILE", "a b")
    found: list[tuple[Kind, str, str]] = [
        ("variable", name, str(at)) for at, name in enumerate(names)
    ]
    assert values(proposed(*found).lines) == ["A=0"]
    assert values(proposed(*found, env={"A": None}).lines) == []


def test_ports() -> None:
    """Each number once, by names that fit; what isn't a port, or is Moat's own, is left out."""
    found = proposed(
        ("port", "", "3000"),
        ("port", "", "3000"),
        ("port", "", "3001"),
        ("port", "The API!", "8000"),
        ("port", "9 lives", "8001"),
        ("port", "", "0"),
        ("port", "", "99999"),
        ("port", "", "443"),
        ports={"web": "9000:5000"},
    )
    assert values(found.lines) == [
        *("web-3000=3000", "web-3001=3001", "the-api=8000", "web-8001=8001"),
    ]
    assert values(proposed(("port", "", "5000"), ports={"web": "9000:5000"}).lines) == []
    many: list[tuple[Kind, str, str]] = [("port", "", str(each)) for each in range(2000, 2100)]
    assert len(proposed(*many).lines) == MOST_PORTS


def test_hosts() -> None:
    """Public names that nothing in the file is about yet."""
    names = (
        "a.example",
        "a.example",
        "b.example:8080",
        "localhost",
        "10.0.0.1",
        "x..y",
        "c.known.example",
    )
    found: list[tuple[Kind, str, str]] = [("host", name, "") for name in names]
    network = {"allow": ["*.known.example"], "rules": ["deny denied.example"]}
    lines = proposed(*found, ("host", "denied.example", ""), network=network).lines
    assert values(lines) == ["a.example", "b.example:8080"]
    many: list[tuple[Kind, str, str]] = [("host", f"{each}.example", "") for each in range(100)]
    assert len(proposed(*many).lines) == 12


def test_suggestions() -> None:
    """What needs something else first is told, and what is there isn't."""
    findings: tuple[tuple[Kind, str, str], ...] = (
        ("image", "node:22", ""),
        ("service", "db:5433", "postgres"),
        ("service", "cache", "redis"),
        ("service", "x: {", "odd"),
        ("name", "TOKEN", ""),
        ("name", "KEY", ""),
        ("command", "postCreateCommand", "make"),
    )
    assert proposed(*findings).suggestions == (
        "file uses an image; for runs in one like it: base_image: node:22",
        (
            "file has a service db (postgres); if it runs on this machine, let runs reach it:"
            " network.host: [5433]"
        ),
        (
            "file has a service cache (redis); if it runs on this machine, let runs reach it:"
            " network.host: [PORT]"
        ),
        "file names variables; with env: {NAME: value} or secrets: runs have them: TOKEN, KEY",
        "file has a postCreateCommand, which Moat doesn't run: make",
    )
    there = proposed(*findings, base_image="x", env={"TOKEN": None}).suggestions
    assert not any("base_image" in each for each in there)
    assert there[-2].endswith(": KEY")

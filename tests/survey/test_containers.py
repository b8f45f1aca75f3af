"""Dockerfiles and files of Compose."""

from __future__ import annotations

import pytest

from moat.survey.containers import compose, dockerfile
from moat.survey.finding import Finding

COMPOSE = """
x-common: &common {image: hidden}
services:
  api:
    build: .
    ports: ["127.0.0.1:8001:8000", "9000", {target: 7000, published: 7001}, "x"]
  db:
    image: postgres:16
    ports: ["5433:5432"]
  cache: {image: redis}
  other: *common
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "FROM node:22 AS build\nFROM --platform=linux build\nEXPOSE 8080/tcp\nexpose 9000\n",
            [Finding("image", "node:22"), Finding("port", "", "8080"), Finding("port", "", "9000")],
        ),
        ("FROM scratch\n", []),
        ("ARG X\nFROM $X\n", []),
        ("# nothing\n", []),
    ],
)
def test_dockerfile(text: str, expected: list[Finding]) -> None:
    """The image of the last stage, by whatever name, and the ports."""
    assert list(dockerfile(text)) == expected


def test_compose() -> None:
    """Ports of what is built here, and services beside it; no alias is followed."""
    assert list(compose(COMPOSE)) == [
        Finding("port", "api", "8000"),
        Finding("port", "api", "9000"),
        Finding("port", "api", "7000"),
        Finding("service", "db:5433", "postgres:16"),
        Finding("service", "cache", "redis"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "- a", "services: 3", "services: [a]", "services: {a: b}", "\x00", "a: \ud800"),
        *(
            "services: {a: {ports: 3, build: .}}",
            "[" * 100_000,
            "? [a]\n: b\nservices: {? {a: b} : c}",
        ),
        "services:\n  <<: *nothing\n",
    ],
)
def test_compose_that_is_none(text: str) -> None:
    """What isn't YAML, or isn't a file of Compose, says nothing."""
    assert list(compose(text)) == []

"""Files of CI."""

from __future__ import annotations

from moat.survey.finding import Finding
from moat.survey.pipelines import github, gitlab

GITHUB = """
on: push
jobs:
  test:
    strategy: {matrix: {node: [20, 22]}}
    services: {redis: {image: "redis:7"}, other: {}}
    steps:
      - uses: actions/setup-node@v4
        with: {node-version: "${{ matrix.node }}"}
      - uses: actions/setup-python@v5
        with: {python-version: 3.12, cache: pip}
      - run: make
"""
GITLAB = "image: {name: 'python:3.12'}\nservices: ['org/postgres:16', {name: redis}, $X]\n"


def test_github() -> None:
    """Versions that actions set up, but for those of a matrix, and services."""
    assert list(github(GITHUB)) == [
        Finding("dependency", "python", "3.12"),
        Finding("service", "redis", "redis:7"),
    ]
    assert list(github("on: push")) == []


def test_gitlab() -> None:
    """The image and the services, in both notations."""
    assert list(gitlab(GITLAB)) == [
        Finding("image", "python:3.12"),
        Finding("service", "postgres", "org/postgres:16"),
        Finding("service", "redis", "redis"),
    ]
    assert list(gitlab("image: $IMAGE")) == []

# ruff: noqa: INP001  a script of its own, no part of a package
"""Fail when a module that unit tests must cover is not covered.

    python scripts/coverage_gate.py

Combines the data that `coverage run` left and compares it with two floors. A module of the import
contract "Pure modules do no I/O" needs 90 % of its lines and branches. A module that pyproject.toml
lists as `[tool.moat] central` needs 85 % of its lines.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coverage import Coverage

ROOT: Final = Path(__file__).parents[1]
PURE_FLOOR: Final = 90.0
"""Per cent, lines and branches together."""
CENTRAL_FLOOR: Final = 85.0
"""Per cent of the lines. Central modules drive processes and sockets: not every branch can be forced."""


@dataclass(frozen=True, slots=True)
class Modules:
    """Names of modules and packages; a package stands for everything in it."""

    names: frozenset[str]

    def __contains__(self, name: object) -> bool:
        parts = str(name).split(".")
        return any(".".join(parts[:end]) in self.names for end in range(1, len(parts) + 1))

    def files(self) -> list[Path]:
        files: list[Path] = []
        for name in self.names:
            path = ROOT.joinpath("src", *name.split("."))
            files += path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        return sorted(files)


def _settings(tool: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][tool]


def _pure_contract() -> dict[str, Any]:
    contracts = _settings("importlinter")["contracts"]
    (contract,) = (each for each in contracts if each["name"] == "Pure modules do no I/O")
    return contract


def pure_modules() -> Modules:
    return Modules(frozenset(_pure_contract()["source_modules"]))


def io_modules() -> Modules:
    """Return the modules that pure code must not import."""
    return Modules(frozenset(_pure_contract()["forbidden_modules"]))


def central_modules() -> Modules:
    return Modules(frozenset(_settings("moat")["central"]))


def _measured() -> dict[str, dict[str, Any]]:
    """Return coverage.py's summary of each file, by its path from the root."""
    coverage = Coverage()
    coverage.combine()
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        coverage.json_report(outfile=report.name)
        files = json.load(report)["files"]
    return {name: each["summary"] for name, each in files.items()}


def main() -> int:
    measured = _measured()
    floors = [
        *((file, "percent_covered", PURE_FLOOR) for file in pure_modules().files()),
        *(
            (file, "percent_statements_covered", CENTRAL_FLOOR)
            for file in central_modules().files()
        ),
    ]
    failures = 0
    for file, figure, floor in floors:
        name = str(file.relative_to(ROOT))
        percent = measured[name][figure]
        if percent < floor:
            failures += 1
            sys.stderr.write(f"{name}: {percent:.0f} % covered, {floor:.0f} % required\n")
    if not failures:
        lowest = min(measured[str(file.relative_to(ROOT))][figure] for file, figure, _ in floors)
        sys.stdout.write(f"coverage: {len(floors)} files, {lowest:.0f} % or more of each\n")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

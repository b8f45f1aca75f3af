"""Which tests each target of the Makefile runs, derived from what the tests import and where they are.

Nobody marks a test. A test module is *pure* when the import contract "Pure modules do no I/O" would hold
for it: it imports nothing that pure modules may not import, and of `moat` only pure modules.

It is *measured* when it is pure, when it is named after a pure module (`tests/x/test_y.py` and
`tests/x/test_y_*.py` are named after `moat.x.y`), or when it lies beside the tests of a central one
(`tests/x/` for `moat.x.y`). The others run without coverage.py, which would slow them by half.

It is *sandboxed* when it imports `tests.sandbox`, which starts bubblewrap, and is not measured.
"""

from __future__ import annotations

import ast
from enum import StrEnum, auto
from functools import cache
from typing import TYPE_CHECKING

from scripts.coverage_gate import ROOT, central_modules, io_modules, pure_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TESTS = ROOT / "tests"
PURE, IO = pure_modules(), io_modules()
CENTRAL_PACKAGES = {name.rpartition(".")[0] for name in central_modules().names}


class Selection(StrEnum):
    """A value of pytest's option `--only`."""

    PURE = auto()
    """`make fast`."""
    MEASURED = auto()
    """The part of `make unit` that runs under coverage.py."""
    UNMEASURED = auto()
    """The rest of `make unit`."""
    FUZZ = auto()
    """`make fuzz`."""
    SYSTEM = auto()
    """`make e2e`, which drives whole runs and real sandboxes, and the compiled modules again."""
    AGENTS = auto()
    """`make agents`, which drives agents that it fetches first."""

    def selects(self, file: Path) -> bool:
        place = file.relative_to(TESTS)
        if self is Selection.AGENTS or place.is_relative_to("e2e/agents"):
            return self is Selection.AGENTS and place.is_relative_to("e2e/agents")
        folder = place.parts[0]
        if self is Selection.FUZZ or folder == "fuzz":
            return folder == "fuzz" and self in {Selection.FUZZ, Selection.SYSTEM}
        if folder == "e2e":
            return self is Selection.SYSTEM
        match self:
            case Selection.PURE:
                return is_pure(file)
            case Selection.MEASURED:
                return is_measured(file)
            case Selection.UNMEASURED:
                return not is_measured(file) and not is_sandboxed(file)
            case Selection.SYSTEM:
                return is_sandboxed(file) or folder == "egress"


def is_measured(file: Path) -> bool:
    return (
        is_pure(file) or _is_named_after_a_pure_module(file) or _package(file) in CENTRAL_PACKAGES
    )


def is_sandboxed(file: Path) -> bool:
    return _reaches_the_sandbox(file) and not is_measured(file)


@cache
def _reaches_the_sandbox(file: Path) -> bool:
    names = [name for name in _imports(file) if name.startswith("tests.")]
    return any(
        name.startswith("tests.sandbox.") or _reaches_the_sandbox(_test_file(name))
        for name in names
    )


@cache
def is_pure(file: Path) -> bool:
    return all(map(_is_pure_import, _imports(file)))


def _is_pure_import(name: str) -> bool:
    match name.partition(".")[0]:
        case "moat":
            return name in PURE
        case "tests":
            return is_pure(_test_file(name))
        case _:
            return name not in IO


def _imports(file: Path) -> Iterator[str]:
    """Yield the full name of everything that the file imports: `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _test_file(name: str) -> Path:
    """Return the file of the module `tests.x`, or of the module that defines the name `tests.x.y`."""
    module = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return module if module.is_file() else module.parent.with_suffix(".py")


def _is_named_after_a_pure_module(file: Path) -> bool:
    words = file.stem.removeprefix("test_").split("_")
    stems = ("_".join(words[:end]) for end in range(1, len(words) + 1))
    return any(f"{_package(file)}.{stem}" in PURE for stem in stems)


def _package(file: Path) -> str:
    """Return the package whose modules are tested in the file's folder."""
    return ".".join(("moat", *file.parent.relative_to(TESTS).parts))

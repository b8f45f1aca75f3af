"""The findings of the clean-up after a run, for people and programs. Pure.

A run's folder keeps them as `findings.json`, which `moat diff RUN --trust` shows. What a person is told
at the run's end are the lines made here: few, whatever the run did.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from moat import typed_json

Treatment = Literal["quarantined", "cleared", "left", "unchecked"]
"""Put aside or rendered harmless; bits of a file or of git's index taken off; new or changed, and left
as it is; not looked at, for a reason."""

VERSION: Final = 1
# A hostile run can cause any number of findings, and a person is to read them.
MAX_SAVED: Final = 2_000
_MAX_LINES: Final = 100
_MAX_NAMES: Final = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a run left in a writable folder, and what was done about it."""

    root: str
    """The writable folder."""
    path: str
    """Relative to it."""
    treatment: Treatment
    done: str = ""
    """The action or finding, as it stands behind the path in a line."""
    program: str = ""
    """The program that obeys the path."""
    reason: str = ""
    """The use that a hostile run could make of it."""

    @property
    def place(self) -> str:
        return str(PurePosixPath(self.root, self.path))


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one clean-up."""

    findings: list[Finding] = field(default_factory=list[Finding])
    more: int = 0
    """Findings beyond those that are kept."""

    def lines(self, *treatments: Treatment) -> list[str]:
        """Return printable lines about the findings, or about those with these treatments."""
        chosen = [each for each in self.findings if not treatments or each.treatment in treatments]
        lines = [printable(line) for line in _lines(chosen)]
        if len(lines) > _MAX_LINES:
            lines[_MAX_LINES:] = [f"and {len(lines) - _MAX_LINES} more"]
        return lines

    def dumps(self) -> str:
        kept = self.findings[:MAX_SAVED]
        more = self.more + len(self.findings) - len(kept)
        return json.dumps(
            {"version": VERSION, "findings": [asdict(each) for each in kept], "more": more}
        )


def loads(text: str) -> Report:
    """Return a saved report, of this or any earlier version. Raises `ValueError`."""
    given: dict[str, Any] = typed_json.object_of(typed_json.parse(text), "the report")
    if given.pop("version", None) != VERSION:
        raise ValueError("the report is of a later version")
    return typed_json.read(Report, given)


def _lines(findings: list[Finding]) -> Iterator[str]:
    """Yield a line for each finding; those that need no line of their own share one for each folder."""
    for each in findings:
        if each.treatment == "quarantined":
            yield f"{each.place}: {each.done}"
    for root in dict.fromkeys(each.root for each in findings):
        here = [each for each in findings if each.root == root]
        yield from _joined(
            root, "taken off", [each for each in here if each.treatment == "cleared"]
        )
        yield from _joined(
            root,
            "new or changed, and obeyed unasked",
            [each for each in here if each.treatment == "left"],
        )
    for each in findings:
        if each.treatment == "unchecked":
            yield f"{each.place} {each.done}"


def _joined(root: str, what: str, findings: list[Finding]) -> Iterator[str]:
    if not findings:
        return
    names = [f"{each.path} ({each.done or each.program})" for each in findings[:_MAX_NAMES]]
    more = len(findings) - _MAX_NAMES
    rest = f" and {more} more" if more > 0 else ""
    yield f"{root}: {what}: {', '.join(names)}{rest}"


def printable(line: str) -> str:
    """Replace what a terminal might interpret: the run chose the names in the line."""
    return "".join(each if each.isprintable() else "?" for each in line)

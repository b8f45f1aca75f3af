"""Cosignatures of a run's checkpoints, and what became of submissions, in one file beside its log.

Whoever may change the file could as well leave it out: verifiers believe the signatures in it alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from moat import typed_json
from moat.atomic import replace_file
from moat.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

MOST: Final = 1000
"""Cosignatures that are kept of a run, the newest ones."""


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A line of signature under the checkpoint of a size."""

    size: int
    line: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last submission to a witness."""

    at: str
    size: int
    """Entries that the witness is known to have seen."""
    problem: str = ""
    """Why there is no cosignature; empty where there is one."""
    unreachable: bool = False


@dataclass(slots=True)
class Cosignatures:
    """The content of the file."""

    lines: list[Cosignature] = field(default_factory=list[Cosignature])
    attempts: dict[str, Attempt] = field(default_factory=dict[str, Attempt])
    """By the verifier keys of the witnesses."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the content, nothing where there is no file. Raises `StoreError`."""
        try:
            return typed_json.read(cls, typed_json.parse(path.read_bytes()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as exc:
            raise StoreError(f"{path} can't be read: {exc}", "Remove it: it is made anew") from exc

    def save(self, path: Path) -> None:
        """Replace the file. Raises `OSError`."""
        del self.lines[:-MOST]
        replace_file(path, json.dumps(asdict(self)).encode(), durable=True)

    def by_size(self) -> dict[int, list[str]]:
        """Return the lines by the sizes of their checkpoints."""
        found: dict[int, list[str]] = {}
        for each in self.lines:
            found.setdefault(each.size, []).append(each.line)
        return found

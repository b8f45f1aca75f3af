"""What outlives a supervisor besides the record: names with addresses, and rules given meanwhile."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from moat.egress.names_table import NamesTable

if TYPE_CHECKING:
    from pathlib import Path


class KeptNames(NamesTable):
    """On disk a line for each name, in the order of their addresses."""

    def __init__(self, path: Path) -> None:
        try:
            *known, unfinished = path.read_text().split("\n")
        except FileNotFoundError:
            known, unfinished = [], ""
        if unfinished:  # the last supervisor was killed while it wrote: nobody has that address
            os.truncate(path, sum(len(name) + 1 for name in known))
        self._file = path.open("a", encoding="ascii")
        super().__init__(known, self._append)

    def close(self) -> None:
        self._file.close()

    def _append(self, name: str) -> None:
        self._file.write(f"{name}\n")
        self._file.flush()


def read_rules(path: Path) -> list[str]:
    """Newest first."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return []


def write_rules(path: Path, rules: list[str]) -> None:
    """All of them or, where that fails, none: `OSError`."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(rules))
    new.replace(path)

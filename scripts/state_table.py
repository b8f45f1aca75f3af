# ruff: noqa: INP001  a script of its own, no part of a package
"""Prints the life of a run as the table of docs/architecture.md.

    python scripts/state_table.py           print it
    python scripts/state_table.py --write   put it into the document

tests/test_docs.py fails when the document shows another table than `moat.runs.states` has.
"""

from __future__ import annotations

import sys
from pathlib import Path

from moat.runs.states import TRANSITIONS, Happened

DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"
BEGIN, END = "<!-- states: made by scripts/state_table.py -->\n", "<!-- end of states -->\n"


def table() -> str:
    """Markdown: a row for each state, a column for each happening, the next state in the cell."""
    rows = [["state", *Happened], ["---"] * (1 + len(Happened))]
    for state, ways_out in TRANSITIONS.items():
        rows.append([f"**{state}**", *(ways_out.get(each, "") for each in Happened)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def replaced(document: str) -> str:
    """The document with the table of now."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text()))
    else:
        sys.stdout.write(table())

# ruff: noqa: INP001  a script of its own, no part of a package
"""Print the states of a run as the table of docs/architecture.md.

    python scripts/state_table.py           print it
    python scripts/state_table.py --write   put it into the document

tests/test_docs.py fails if the document differs from `moat.runs.states`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from moat.runs.states import TRANSITIONS, Happened

DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"
BEGIN, END = "<!-- states: made by scripts/state_table.py -->\n", "<!-- end of states -->\n"


def table() -> str:
    """Return a Markdown table: a row for each state, a column for each event, the next state inside."""
    rows = [["state", *Happened], ["---"] * (1 + len(Happened))]
    for state, ways_out in TRANSITIONS.items():
        rows.append([f"**{state}**", *(ways_out.get(each, "") for each in Happened)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def replaced(document: str) -> str:
    """Return the document with the current table."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text()))
    else:
        sys.stdout.write(table())

# ruff: noqa: INP001  a script of its own, no part of a package
"""Print the table of protected paths as docs/protected-paths.md.

    python scripts/protected_paths.py           print it
    python scripts/protected_paths.py --write   write the document

tests/workspace/test_known_paths.py fails if the document differs from `moat.workspace.known_paths`.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from moat.workspace.known_paths import GIT, PROJECT
from moat.workspace.path_rules import Protection

if TYPE_CHECKING:
    from moat.workspace.path_rules import PathRule

DOCUMENT = Path(__file__).parents[1] / "docs" / "protected-paths.md"

HEAD = """\
# Protected paths

Programs on the host run or trust these files because of their names alone.
[Security](security.md#protected-paths) says what Moat promises about them. This page is made from the
table in `src/moat/workspace/known_paths.py`, by `python scripts/protected_paths.py --write`.

- **read-only**: a run can't change it if it exists when the run starts. A new one is named at the end.
- **watched**: a run may change it, for that is an agent's work. If it does, that is named at the end.
- **restored**: read-only, and what it was again after the run.
- **reviewed**: read-only, and new settings are taken out after it unless they are harmless.

A star is any part of a name. Upper and lower case make no difference.

## In a project

At any depth, except below a `node_modules`.

"""

ADD = """
## Your own

`protected_paths:` in `config.yaml` adds paths for all runs, and in `agent.yaml` for those of a project:

```yaml
protected_paths:
  - path: deploy/*.sh
    program: our deployment
  - path: .toolrc
    treatment: watched
```
"""

TREATMENTS = {
    Protection.READ_ONLY: "read-only",
    Protection.WATCHED: "watched",
    Protection.RESTORED: "restored",
    Protection.REVIEWED: "reviewed",
}


def document() -> str:
    """Return the document."""
    return HEAD + table(PROJECT) + "\n## In a git folder\n\n" + table(GIT) + ADD


def table(rules: tuple[PathRule, ...]) -> str:
    """Return a Markdown table with a row for all paths of a program that have the same reason."""
    rows = ["| Obeyed by | Paths | What is done | Because it |", "|---|---|---|---|"]
    for key, group in groupby(rules, key=lambda rule: (rule.program, rule.protection, rule.reason)):
        program, protection, reason = key
        paths = ", ".join(f"`{rule.path}`" for rule in group)
        rows.append(f"| {program} | {paths} | {TREATMENTS[protection]} | {reason} |")
    return "".join(f"{row}\n" for row in rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(document())
    else:
        sys.stdout.write(document())

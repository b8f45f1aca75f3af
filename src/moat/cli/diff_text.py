"""The text of `moat diff` besides the patches themselves: sums, counts, colours. Pure."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final

from moat.workspace.patch import patch, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.workspace.changes import Change

_COLOURS: Final = (
    *((b"diff --git ", "1"), (b"--- ", "1"), (b"+++ ", "1"), (b"# ", "33"), (b"@@ ", "36")),
    *((b"+", "32"), (b"-", "31")),
)


def summaries(changes: Iterable[Change]) -> Iterator[bytes]:
    """Yield a line for each folder that tools fill, with the number of its changes."""
    counts: dict[str, Counter[str]] = {}
    for change in changes:
        kind = (
            "added" if change.before is None else "deleted" if change.after is None else "changed"
        )
        counts.setdefault(change.generated or "", Counter())[kind] += 1
    for folder, kinds in sorted(counts.items()):
        listed = ", ".join(
            f"{kinds[kind]} {kind}" for kind in ("added", "changed", "deleted") if kinds[kind]
        )
        line = f"# {quoted(folder)}/: {listed} (files that tools make)\n"
        yield line.encode(errors="surrogateescape")


def stat_lines(
    changes: Iterable[tuple[Change, bytes | None, bytes | None]],
) -> Iterator[bytes]:
    """Yield the number of lines added and removed in each file, then the sum."""
    files = added = removed = 0
    for change, old, new in changes:
        plus, minus, other = _counts(change, old, new)
        files, added, removed = files + 1, added + plus, removed + minus
        text = other or f"+{plus} -{minus}"
        yield f" {quoted(change.path)} | {text}\n".encode(errors="surrogateescape")
    if files:
        lines = "line" if added == 1 else "lines"
        yield f" {files} changed, {added} {lines} added, {removed} removed\n".encode()


def _counts(change: Change, old: bytes | None, new: bytes | None) -> tuple[int, int, str]:
    plus = minus = 0
    other = ""
    in_hunk = False
    for line in patch(change, old, new):
        if line.startswith(b"diff --git "):
            in_hunk = False
        elif line.startswith(b"@@ "):
            in_hunk = True
        elif line.startswith(b"Binary files"):
            other = "binary"
        elif line.startswith(b"# ") and not in_hunk:
            note = line.removeprefix(f"# {quoted(change.path)}: ".encode(errors="surrogateescape"))
            other = note.decode(errors="backslashreplace").rstrip()
        elif in_hunk:
            plus += line.startswith(b"+")
            minus += line.startswith(b"-")
    return plus, minus, "" if plus or minus else other


def shown(line: bytes) -> str:
    """Return a line as text that a terminal shows: what it would obey becomes an escape sequence."""
    text = line.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\t\n" else each.encode("unicode_escape").decode()
        for each in text
    )


def painted(line: str) -> str:
    """Return a line of a patch in its colour, unless the user wants none (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return line
    for start, colour in _COLOURS:
        if line.startswith(start.decode()):
            body = line.rstrip("\n")
            return f"\x1b[{colour}m{body}\x1b[0m{line[len(body) :]}"
    return line

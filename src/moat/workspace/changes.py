"""Changes that a run has made in its workspace, and their saved form. Pure."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict, dataclass, field
from typing import Any

from moat.workspace.manifest import NOT_KEPT, Content


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a change: what is at a path before the run, or after it."""

    mode: int
    size: int
    digest: str | None = None
    """The SHA-256 of a file's content, if it was read."""
    offset: int = NOT_KEPT
    length: int = 0
    """Length of the content in the pack of the changes."""
    target: str | None = None
    """Target of a symbolic link."""

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def content(self) -> Content | None:
        return (
            None if self.digest is None else (bytes.fromhex(self.digest), self.offset, self.length)
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One path that isn't what it was."""

    path: str
    before: Side | None
    after: Side | None
    generated: str | None = None
    """The folder that tools fill in which it lies."""
    late: bool = False
    """The change came before the recording: `before` is known from an earlier run, if at all."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The state of a workspace, by the digest of its files; see `workspace.tree_digest`."""

    digest: str
    files: int
    """The number of files and symbolic links."""
    unread: int
    """The number of files of which the digest has the size alone."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that a run has changed in its workspace."""

    root: str
    changes: list[Change] = field(default_factory=list[Change])
    notes: list[str] = field(default_factory=list[str])
    """Sentences about what could not be compared."""
    before: Tree | None = None
    """What lay there at the start; `None` where an earlier version has not noted it."""
    after: Tree | None = None
    """What lay there at the end; `None` where there is more than is known."""


def dumps(changes: Changes) -> bytes:
    listed = [
        {
            "path": each.path,
            "before": _fields(each.before),
            "after": _fields(each.after),
            "generated": each.generated,
            "late": each.late,
        }
        for each in changes.changes
    ]
    trees = {"before": changes.before, "after": changes.after}
    return json.dumps(
        {
            "root": changes.root,
            "notes": changes.notes,
            "changes": listed,
            **{name: asdict(tree) for name, tree in trees.items() if tree is not None},
        }
    ).encode()


def loads(data: bytes) -> Changes:
    """Return the changes that were saved. Raises `ValueError`."""
    try:
        saved = json.loads(data)
        return Changes(
            saved["root"],
            [_change(each) for each in saved["changes"]],
            saved["notes"],
            *(Tree(**saved[name]) if name in saved else None for name in ("before", "after")),
        )
    except (TypeError, KeyError) as exc:
        raise ValueError(f"not changes that this version knows: {exc}") from exc


def _fields(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {name: getattr(side, name) for name in Side.__slots__}


def _change(saved: dict[str, Any]) -> Change:
    before, after = saved.pop("before"), saved.pop("after")
    return Change(
        before=None if before is None else Side(**before),
        after=None if after is None else Side(**after),
        **saved,
    )

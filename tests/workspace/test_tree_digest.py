"""The digest of a workspace."""

from __future__ import annotations

import hashlib
import stat

from moat.workspace.changes import Change, Changes, Side, Tree, dumps, loads
from moat.workspace.manifest import Folder, Manifest, Status
from moat.workspace.tree_digest import TreeFiles

A, B = hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()


def status(mode: int, size: int = 1) -> Status:
    return (mode, size, 0, 0, 0)


FILE, PROGRAM = status(stat.S_IFREG | 0o644), status(stat.S_IFREG | 0o755)
LINK, FOLDER = status(stat.S_IFLNK | 0o777), status(stat.S_IFDIR | 0o755)
PIPE = status(stat.S_IFIFO | 0o600)


def manifest() -> Manifest:
    top = Folder(
        FOLDER,
        {
            "src": FOLDER,
            "run": PROGRAM,
            "link": LINK,
            "pipe": PIPE,
            "big": status(stat.S_IFREG, 99),
        },
        {"run": (A, 0, 1)},
        {"link": "run"},
    )
    return Manifest(
        0, "/w", folders={"": top, "src": Folder(FOLDER, {"x\udcff": FILE}, {"x\udcff": (B, 0, 1)})}
    )


def test_it_is_what_its_definition_says() -> None:
    """A line for each file in the order of their paths; the digest of a list anybody can make."""
    lines = (
        b"100644 -99  big\n",
        b"120000 %b  link\n" % hashlib.sha256(b"run").hexdigest().encode(),
        b"100755 %b  run\n" % A.hex().encode(),
        b"100644 %b  src/x\xff\n" % B.hex().encode(),
    )
    expected = hashlib.sha256(b"".join(lines)).hexdigest()
    assert TreeFiles(manifest()).tree() == Tree(expected, files=4, unread=1)


def test_changes_lead_from_one_tree_to_the_other() -> None:
    """What was removed, changed and added: back and forth, it is the first tree again."""
    files = TreeFiles(manifest())
    before = files.tree()
    side = Side(FILE[0], 1, A.hex())
    old = Side(FILE[0], 1, B.hex())
    files.apply([Change("src/x\udcff", old, None), Change("new", None, side)])
    after = files.tree()
    assert (after.files, after.digest == before.digest) == (4, False)
    files.apply([Change("src/x\udcff", None, old), Change("new", side, None)])
    assert files.tree() == before


def test_trees_are_saved_with_the_changes() -> None:
    """And what an earlier version has saved has none."""
    tree = Tree("00", 1, 0)
    assert loads(dumps(Changes("/w", before=tree))) == Changes("/w", before=tree)
    assert loads(dumps(Changes("/w", before=tree, after=tree))).after == tree
    assert loads(b'{"root": "/w", "notes": [], "changes": []}').before is None

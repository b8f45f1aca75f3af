"""Contents that Moat does not write, under a genuine signature: both verifiers say the same of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.audit.logs import OURS, RUN, Clock, codes, verified

from moat.audit import checkpoint
from moat.audit.content import read_content
from moat.audit.entry import entry
from moat.audit.log import AuditLog
from moat.audit.proofs import Frontier, leaf_hash

if TYPE_CHECKING:
    from pathlib import Path

ODD = [
    b'{"data":{"commits":{"a":1}}}',
    b'{"data":{"commits":{"a":null}}}',
    b'{"data":{"commits":{},"void":"abc"}}',
    b'{"data":{"commits":{},"void":[1]}}',
    b'{"data":[{"commits":{"a":"b"}}]}',
    b'{"data":{"n":NaN,"commits":{"a":"b"}}}',
    b'{"data":{"n":-Infinity,"commits":{"a":"b"}}}',
    b'[{"commits":{"a":"b"}}]',
    b'"commits":{',
    b'{"commits":{"a":"b"}}',
    b'{"data":{"x":"\xff","commits":{"a":"b"}}}',
    b'\xef\xbb\xbf{"data":{"commits":{"a":"b"}}}',
    b'{"data":{"x":"\x01","commits":{"a":"b"}}}',
    b'{"data":{"commits":{"a":"b"}},}',
    '{"data":{"commits":{"a":"b"}}}'.encode("utf-16") + b'"commits":{',
]
TAKEN = [
    b'{"data":{"commits":{"__proto__":"x","1":"y"}}}',
    b'{"data":{"commits":{"a":"b"},"commits":{"c":"d"}}}',
    b' {"data" : {"commits":{"a":"b"}, "void":["a"]}, "data2":1e999} ',
    b'{"data":{"commits":{"\\ud800":"x"}}}',
]


def signed(folder: Path, kind: str, content: bytes) -> list[bytes]:
    """Return a log that ends with an entry of any content, signed by the key of the others."""
    log = AuditLog(folder / "log", folder / "head", RUN, Clock())
    log.append("run_created", {})
    log.checkpoint(OURS)
    log.close()
    lines = (folder / "log").read_bytes().splitlines()
    leaves = [
        leaf_hash(each[6:].partition(b"\t")[0]) for each in lines if each.startswith(b"entry ")
    ]
    line = entry(
        run=RUN,
        seq=len(leaves),
        prev=leaves[-1].hex(),
        time="2030-01-01T00:00:00.000Z",
        kind=kind,
        private=content,
    )
    tree = Frontier()
    for leaf in (*leaves, leaf_hash(line)):
        tree.append(leaf)
    note = checkpoint.signed(RUN, tree.size, tree.root(), OURS)
    return [*lines, b"entry " + line + b"\t" + content, b"checkpoint " + checkpoint.encoded(note)]


@pytest.mark.parametrize("content", ODD)
def test_what_is_no_content(tmp_path: Path, content: bytes) -> None:
    """Its hash is right and it is signed, and what it would commit to can't be told."""
    assert codes(verified(signed(tmp_path, "requests", content))) == {"format"}
    with pytest.raises(ValueError):
        read_content(content)


@pytest.mark.parametrize("content", TAKEN)
def test_odd_names(tmp_path: Path, content: bytes) -> None:
    """Names are any text, however a language treats them elsewhere; of keys twice the last counts."""
    report = verified(signed(tmp_path, "requests", content))
    assert not report.problems
    assert report.absent == len(
        set(read_content(content).commits) - set(read_content(content).void)
    )


@pytest.mark.parametrize(
    "content", [b'{"data":{}}', b'{"data":{"public":7}}', b'{"data":{"public":["x"]}}', b"7"]
)
def test_an_entry_that_names_no_key(tmp_path: Path, content: bytes) -> None:
    """It can't be passed over: a key might be hidden in it."""
    assert codes(verified(signed(tmp_path, "signing_key", content))) == {"format"}

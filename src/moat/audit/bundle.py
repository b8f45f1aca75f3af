"""Bundles: a log with the files that it commits to, in one file for somebody who has neither.

A bundle is the log's own lines, then the files, then a record that it is whole. With `redacted` the
content of the entries and the files are left out; what is left can still be verified.
"""

from __future__ import annotations

import base64
import json
import os
import re
from typing import TYPE_CHECKING, Final

from moat.audit import merkle
from moat.audit.checkpoint import decoded, encoded
from moat.audit.cosignatures import Cosignatures
from moat.audit.log import lines_of
from moat.audit.proofs import leaf_hash, read_checkpoint
from moat.audit.submission import with_signatures
from moat.audit.verifier import FORMAT, SIGNING_KEY
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping
    from pathlib import Path

    from moat.audit.requests import Range
    from moat.paths import RunFolder

    RequestText = Callable[[list[Range]], bytes | None]

_NAME: Final = re.compile(
    r"spec\.json|requests/[0-9]+|journal/[\w-]+/[0-9]+\.(stdout|stderr|index)"
)
_PIECE: Final = 48 * 1024
"""Bytes of a file in one record: base64 makes it 64 KiB."""


def log_lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a log that may be growing. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from lines_of(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def bundle(
    folder: RunFolder,
    requests: RequestText,
    *,
    redacted: bool = False,
    without: Container[str] = (),
) -> Iterator[bytes]:
    """Yield the lines of a run's bundle, `without` some files. Raises `OSError` and `StoreError`.

    `requests` returns the text of rows of the traffic record by their ids, `None` if it has not all.
    """
    count = 0
    for line in _bundle(folder, requests, without, redacted=redacted):
        count += 1
        yield line
    yield b"end %d" % (count + 1)


def _bundle(
    folder: RunFolder, requests: RequestText, without: Container[str], *, redacted: bool
) -> Iterator[bytes]:
    commits: dict[str, list[Range]] = {}
    cosignatures = Cosignatures.load(folder.cosignatures).by_size()
    for line in log_lines(folder.audit):
        if not line.startswith(b"entry "):
            yield _cosigned(line, cosignatures)
            continue
        entry, _, private = line.partition(b"\t")
        if redacted and b'"kind":"%b"' % SIGNING_KEY.encode() not in entry:
            yield entry + b"\t"
            continue
        yield line
        if b'"commits":{' in private:
            commits |= _committed(private)
    if not redacted:
        for name, ids in commits.items():
            if name in without:
                continue
            yield from _file(folder, name, requests(ids) if name.startswith("requests/") else None)


def _cosigned(line: bytes, cosignatures: Mapping[int, list[str]]) -> bytes:
    """Return a line of the log; a checkpoint with the signatures of witnesses."""
    word, _, rest = line.partition(b" ")
    if word != b"checkpoint" or not cosignatures:
        return line
    note = decoded(rest)
    signed = with_signatures(note, cosignatures.get(read_checkpoint(note).size, ()))
    return b"checkpoint " + encoded(signed)


def _committed(private: bytes) -> dict[str, list[Range]]:
    """Return the names of the files to which a content commits, with ids of rows.

    Somebody may have changed the log: then it names no files but those that a run has.
    """
    try:
        data = json.loads(private)["data"]
        ids = [[int(first), int(last)] for first, last in data.get("ids", ())]
        names = [str(name) for name in data.get("commits", ())]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return dict.fromkeys(filter(_NAME.fullmatch, names), ids)


def _file(folder: RunFolder, name: str, text: bytes | None) -> Iterator[bytes]:
    """Yield a file, or nothing where the run has it no more: journal and record are bounded."""
    if name.startswith("requests/"):
        if text is not None:
            yield b"file %b" % name.encode()
            for at in range(0, len(text), _PIECE):
                yield b"data %b" % base64.b64encode(text[at : at + _PIECE])
        return
    try:
        file = (folder.root / name).open("rb")
    except FileNotFoundError:
        return
    with file:
        yield b"file %b" % name.encode()
        while piece := file.read(_PIECE):
            yield b"data %b" % base64.b64encode(piece)


def proofs(
    path: Path, wanted: Iterable[int], cosignatures: Mapping[int, list[str]] | None = None
) -> Iterator[bytes]:
    """Yield the lines of a bundle that has some entries alone, each with a proof of its inclusion.

    `cosignatures`: those of the checkpoints, by size. Raises `OSError`, and `UsageError` for an entry
    that no checkpoint covers.
    """
    entries: list[bytes] = []
    keys: list[bytes] = []
    run, signed = b"", b""
    for line in log_lines(path):
        word, _, rest = line.partition(b" ")
        match word:
            case b"entry":
                entries.append(rest)
            case b"key":
                keys.append(line)
            case b"run":
                run = line
            case b"checkpoint":
                signed = _cosigned(line, cosignatures or {})
            case _:
                pass
    size = 0
    if signed:
        size = read_checkpoint(decoded(signed.partition(b" ")[2])).size
    leaves = [leaf_hash(each.partition(b"\t")[0]) for each in entries[:size]]
    lines = [FORMAT, run, *keys, signed]
    for seq in sorted(set(wanted)):
        if not 0 <= seq < size:
            raise UsageError(
                f"entry {seq} is not signed: checkpoints cover {size} entries",
                "An entry of a running run is signed within 10 seconds",
            )
        path_to_root = b",".join(each.hex().encode() for each in merkle.inclusion(leaves, seq))
        lines.append(b"proved %b %b" % (path_to_root or b"-", entries[seq]))
    yield from lines
    yield b"end %d" % (len(lines) + 1)

"""Make the bundles in this folder: python -m tests.audit.vectors.bundles

They are frozen: other implementations are tested with them, and every later verifier must read them. So
this is run to add one, and never to change one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.audit.logs import OURS, RUN, Clock, entry_lines
from tests.audit.witnesses import TIME, Cosigner, cosigned

from moat.audit.bundle import bundle, proofs
from moat.audit.log import AuditLog
from moat.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = Path(__file__).parent
WITNESS: Final = Cosigner()
STRANGER: Final = Cosigner("witness.example/w2", b"\4" * 32)
ROWS: Final = b'[[1,"request",1800000000000000,"allowed",200]]'


def genuine(root: Path, *, redacted: bool = False) -> list[bytes]:
    """Return the lines of a bundle with a bit of everything."""
    folder = RunFolder(root / RUN)
    (folder.journal / "main").mkdir(parents=True)
    folder.spec.write_bytes(b'{"name":"test"}')
    (folder.journal / "main" / "00000000.stdout").write_bytes("hello, wörld\n".encode())
    log = AuditLog(folder.audit, root / "head", RUN, Clock())
    log.append(
        "run_created", {"name": "tëst", "commits": {"spec.json": _sha(folder.spec.read_bytes())}}
    )
    log.append("viewer_attached", {"session": "main", "peer": {"uid": 1000, "pid": 7}, "tty": None})
    log.checkpoint(OURS)
    log.append("requests", {"commits": {"requests/0": _sha(ROWS)}, "count": 1, "ids": [[1, 1]]})
    for name in ("00000000.stdout", "00000001.stdout"):
        content = (folder.journal / "main" / "00000000.stdout").read_bytes()
        log.append("journal_closed", {"commits": {f"journal/main/{name}": _sha(content)}})
    log.append("log_closed", {})
    log.checkpoint(OURS)
    log.close()
    (root / "one").write_bytes(b"".join(line + b"\n" for line in proofs(folder.audit, [1, 4])))
    return list(bundle(folder, lambda _: ROWS, redacted=redacted))


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def attacks(lines: list[bytes]) -> dict[str, list[bytes]]:
    """Return what was done to a bundle, by its name; the end record is made to fit."""
    at = entry_lines(lines)
    swapped = list(lines)
    swapped[at[1]], swapped[at[3]] = swapped[at[3]], swapped[at[1]]
    changed = list(lines)
    changed[at[1]] = changed[at[1]].replace(b'"uid":1000', b'"uid":1001')
    files = [each.replace(b"aGVsbG8", b"SGVsbG8") for each in lines]
    other = [
        each.replace(RUN.encode(), b"ffffffffffff") if at[1] == n else each
        for n, each in enumerate(lines)
    ]
    cut = [each for each in lines if not each.startswith(b"checkpoint ")]
    key = [
        b"key " + base64.b64encode(bytes(31) + b"\1") if each.startswith(b"key ") else each
        for each in lines
    ]
    return {
        "changed-content": changed,
        "dropped-entry": _ended([*lines[: at[1]], *lines[at[1] + 1 :]]),
        "repeated-entry": _ended([*lines[: at[1]], lines[at[1]], *lines[at[1] :]]),
        "swapped-entries": swapped,
        "other-run": other,
        "other-key": key,
        "unsigned": _ended(cut),
        "changed-file": files,
        "cut-off": lines[:-1],
    }


def witnessed() -> dict[str, list[bytes]]:
    """Return the genuine bundle with signatures of a witness, by name: good ones, and a forged one."""
    lines = (FOLDER / "genuine.bundle").read_bytes().splitlines()
    first, last = (at for at, line in enumerate(lines) if line.startswith(b"checkpoint "))
    notes = [
        base64.b64decode(lines[at].removeprefix(b"checkpoint ")).decode() for at in (first, last)
    ]
    good, forged = list(lines), list(lines)
    good[first] = cosigned(lines[first], WITNESS.line(notes[0]))
    good[last] = cosigned(lines[last], STRANGER.line(notes[1]), WITNESS.line(notes[1], TIME + 60))
    forged[last] = cosigned(lines[last], WITNESS.line(notes[0]))
    return {"witnessed": good, "forged-cosignature": forged}


def _ended(lines: Sequence[bytes]) -> list[bytes]:
    return [*lines[:-1], b"end %d" % len(lines)]


def main() -> None:
    """Write what is not there yet, and say what each must get."""
    from tests.audit.test_bundles import codes_of  # noqa: PLC0415  it reads what is written here

    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        lines = genuine(Path(name))
        bundles = {
            "genuine": lines,
            "redacted": genuine(Path(other), redacted=True),
            "two-entries": (Path(name) / "one").read_bytes().splitlines(),
            **attacks(lines),
            **witnessed(),
        }
    verdicts = {}
    for name, content in bundles.items():
        path = FOLDER / f"{name}.bundle"
        if not path.exists():
            path.write_bytes(b"".join(line + b"\n" for line in content))
        verdicts[name] = sorted(codes_of(path))
    text = json.dumps(
        {"key": OURS.public.hex(), "witness": WITNESS.vkey, "problems": verdicts}, indent=1
    )
    (FOLDER / "verdicts.json").write_text(f"{text}\n")
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()

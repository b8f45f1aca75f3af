"""The verifier of the page, in Node: what it finds must be what Moat's own finds, word for word."""

from __future__ import annotations

import atexit
import base64
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from moat.audit import page
from moat.audit.report import UnreadableError
from moat.audit.verifier import Verifier
from moat.cli.audit_text import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.audit.proofs import Witness
    from moat.audit.report import Report

_PROGRAM: Final = Path(__file__).parent / "verify.mjs"
_SAME: Final = (
    *("run", "entries", "redacted", "checkpoints", "signed", "first_time", "last_time", "closed"),
    *("trusted", "files", "absent", "unseen", "proved", "remarks"),
)


@cache
def _node() -> subprocess.Popen[str]:
    module = Path(page.__file__).parent / page.MODULE
    process = subprocess.Popen(
        ["node", str(_PROGRAM), str(module)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    atexit.register(process.kill)
    return process


def by_javascript(content: bytes, **options: Any) -> dict[str, Any]:
    """What the page's verifier says of a bundle; the options are those of its class."""
    process = _node()
    assert process.stdin is not None
    assert process.stdout is not None
    question = {"content": base64.b64encode(content).decode(), "options": options}
    process.stdin.write(json.dumps(question) + "\n")
    answer = process.stdout.readline()
    assert answer, "Node has ended: see what it said"
    return json.loads(answer)


def verified_twice(lines: Iterable[bytes], **options: Any) -> Report:
    """Return the report of Moat's own verifier on a bundle, with which the page's must agree."""
    content = b"".join(line + b"\n" for line in lines)
    theirs = by_javascript(content, **_translated(**options))
    if "unreadable" in theirs:
        with pytest.raises(UnreadableError) as refusal:
            _own(content, **options)
        assert theirs["unreadable"] == str(refusal.value)
        raise refusal.value
    report = _own(content, **options)
    assert theirs["lines"] == list(verdict(report))
    found = theirs["report"]
    assert found["problems"] == [each._asdict() for each in report.problems]
    assert found["seen"] == [each._asdict() for each in report.seen]
    assert found["keys"] == [each.hex() for each in report.keys]
    assert {name: found[name] for name in _SAME} == {name: getattr(report, name) for name in _SAME}
    return report


def _own(content: bytes, **options: Any) -> Report:
    verifier = Verifier(**options)
    for line in content.removesuffix(b"\n").split(b"\n"):
        verifier.feed(line)
    return verifier.finish()


def _translated(
    trusted: Iterable[bytes] = (),
    revoked: Iterable[bytes] = (),
    held: Iterable[str] = (),
    witnesses: Iterable[Witness] = (),
    *,
    must_be_seen: bool = False,
) -> dict[str, Any]:
    return {
        "trusted": [each.hex() for each in trusted],
        "revoked": [each.hex() for each in revoked],
        "held": list(held),
        "witnesses": [_vkey(each) for each in witnesses],
        "mustBeSeen": must_be_seen,
    }


def _vkey(witness: Witness) -> str:
    return f"{witness.name}+{witness.id.hex()}+{base64.b64encode(bytes([4]) + witness.public).decode()}"

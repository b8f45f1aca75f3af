"""`moat send`."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from moat.cli.found import find_session, supervisor_of
from moat.errors import RunNotActiveError, UsageError
from moat.keyboard.key_names import encode_key
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE = 1 << 20


def carry_out(
    *,
    run: str,
    text: str | None = None,
    keys: Sequence[str] = (),
    session: str | None = None,
    from_stdin: bool = False,
) -> None:
    if from_stdin == (text is not None or bool(keys)):
        raise UsageError("nothing to send, or two things", "Give TEXT and keys, or --stdin")
    data = (text or "").encode() + b"".join(encode_key(key) for key in keys)
    with Store() as store:
        found, name = find_session(store, run, session)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state}: nobody reads input there")
        supervisor = supervisor_of(store, found)
        # Each piece as it comes, not only full ones: somebody may be typing into our pipe.
        pieces = iter(lambda: os.read(0, PIECE), b"") if from_stdin else iter([data])
        for piece in pieces:
            supervisor.post("/v1/send", session=name, data=base64.b64encode(piece).decode())

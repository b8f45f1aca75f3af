"""Messages to a witness and from it: the call `add-checkpoint` of c2sp.org/tlog-witness. Pure.

The witness may be hostile. What it answers is believed as far as its signature goes.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from moat.audit.proofs import cosigned_at, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.audit.proofs import Witness

CALL: Final = "add-checkpoint"
MOST_ANSWERED: Final = 64 * 1024
"""Bytes of an answer that are read: a signature has a hundred or, with ML-DSA, some thousands."""
_MARK: Final = "\u2014 "


def submission(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body that asks a witness, which knows `old` entries, to sign the checkpoint `note`."""
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof)]
    return "".join(f"{line}\n" for line in (*lines, "")).encode() + note.encode()


def known_size(body: bytes) -> int:
    """Return the size that a witness says it knows, from its answer 409. Raises `ValueError`."""
    if not re.fullmatch(rb"(0|[1-9][0-9]{0,14})\n?", body):
        raise ValueError("it doesn't say which size it knows")
    return int(body)


def cosignature(body: bytes, note: str, witness: Witness) -> str:
    """Return the line of an answer with the witness's own signature of a note, once it is verified.

    Raises `ValueError`. Lines of other keys are passed over.
    """
    if len(body) > MOST_ANSWERED:
        raise ValueError("its answer is too long")
    start = f"{_MARK}{witness.name} "
    try:
        lines = body.decode().split("\n")
        for line in lines:
            if line.startswith(start):
                cosigned = read_checkpoint(with_signatures(note, [line]))
                if cosigned_at(cosigned, witness) is not None:
                    return line
    except ValueError as exc:
        raise ValueError(f"its answer is not to be believed: {exc}") from exc
    raise ValueError("its answer has no signature of its key")


def with_signatures(note: str, lines: Iterable[str]) -> str:
    """Return a note with further lines of signatures."""
    return note + "".join(f"{line}\n" for line in lines)

"""A witness in memory, which signs as c2sp.org/tlog-cosignature says."""

from __future__ import annotations

import base64
from typing import Final

from tests.audit.test_checkpoint import Signer

from moat.audit import proofs

TIME: Final = 1_800_000_100


class Cosigner:
    """A witness that signs whatever it is given, at a time that it is told."""

    def __init__(self, name: str = "witness.example/w1", seed: bytes = b"\3" * 32) -> None:
        self._signer = Signer(seed)
        self.witness = proofs.Witness(name, self._signer.public)
        key = base64.b64encode(b"\4" + self._signer.public).decode()
        self.vkey = f"{name}+{self.witness.id.hex()}+{key}"

    def line(self, note: str, time: int = TIME, *, text: str | None = None) -> str:
        """Return the line of a cosignature. `text`: the signed text, if not that of the note."""
        body = note.rpartition("\n\n")[0] + "\n" if text is None else text
        signature = self._signer.sign(f"cosignature/v1\ntime {time}\n{body}".encode())
        data = self.witness.id + time.to_bytes(8) + signature
        return f"\u2014 {self.witness.name} {base64.b64encode(data).decode()}"


def cosigned(line: bytes, *signatures: str) -> bytes:
    """Return the line of a checkpoint with further signatures."""
    note = base64.b64decode(line.removeprefix(b"checkpoint "))
    added = "".join(f"{each}\n" for each in signatures).encode()
    return b"checkpoint " + base64.b64encode(note + added)

"""The audit log alone: how fast entries are appended, signed and verified.

    python bench/audit.py [ENTRIES]

The log lies in the present folder while this runs: the disk is part of what is measured.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moat.audit.log import AuditLog
from moat.audit.signing_key import SigningKey
from moat.audit.verifier import Verifier

RUN = "0123456789ab"
EVERY = 256
"""Entries per checkpoint, as a supervisor makes them."""
DATA = {
    "session": "main",
    "peer": {"uid": 1000, "pid": 12345},
    "tty": "/dev/pts/3",
    "read_only": False,
}


def main() -> None:
    """Print a line for each figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    signer = SigningKey(Ed25519PrivateKey.generate())
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        log = AuditLog(folder / "audit.log", folder / "head", RUN, time.time)
        log.append("run_created", {"name": "bench"})
        first = _append(log, 1000)
        checkpoints = []
        for _ in range(50):
            log.append("viewer_attached", DATA)
            began = time.perf_counter()
            log.checkpoint(signer)
            checkpoints.append(time.perf_counter() - began)
        rest = 0.0
        for _ in range(count // EVERY):
            rest = _append(log, EVERY)
            log.checkpoint(signer)
        log.checkpoint(signer)
        log.close()
        size = (folder / "audit.log").stat().st_size
        print(
            f"append: {first * 1e6:.1f} µs an entry at the beginning, {rest * 1e6:.1f} µs at the end"
        )
        checkpoints.sort()
        print(
            f"checkpoint, on disk: median {checkpoints[25] * 1e3:.2f} ms,"
            f" slowest {checkpoints[-1] * 1e3:.2f} ms"
        )
        began, cpu = time.perf_counter(), time.process_time()
        verifier = Verifier(trusted={signer.public})
        with (folder / "audit.log").open("rb") as file:
            for line in file:
                verifier.feed(line[:-1])
        report = verifier.finish(is_open=True)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert not report.problems, report.problems
        print(
            f"verify: {report.entries:,} entries ({size >> 20} MiB), {report.checkpoints:,} checkpoints:"
            f" {took:.1f} s, {cpu:.1f} s of a processor"
        )


def _append(log: AuditLog, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        log.append("viewer_attached", DATA)
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    main()

"""Logs for tests, made by the real writer, and what a hostile owner of one does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.audit.javascript import verified_twice
from tests.audit.test_checkpoint import Signer

from moat.audit.log import AuditLog
from moat.audit.verifier import FORMAT, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from moat.audit.report import Report

RUN = "0123456789ab"
OURS, THEIRS = Signer(b"\1" * 32), Signer(b"\2" * 32)


class Clock:
    """Seconds since the epoch, a millisecond more with each call."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def write(
    folder: Path,
    entries: int = 10,
    *,
    run: str = RUN,
    every: int = 4,
    signer: Signer = OURS,
    clock: Callable[[], float] | None = None,
) -> list[bytes]:
    """Return the lines of a log that was closed, with a checkpoint after every few entries."""
    log = AuditLog(folder / "audit.log", folder / "heads" / run, run, clock or Clock())
    log.append("run_created", {"name": "test", "commits": {"spec.json": "0" * 64}})
    for number in range(1, entries - 1):
        log.append("input_sent", {"size": number})
        if number % every == 0:
            log.checkpoint(signer)
    log.introduce(signer)
    log.append("log_closed", {})
    log.checkpoint(signer)
    log.close()
    return (folder / "audit.log").read_bytes().splitlines()


def verified(lines: Sequence[bytes], *, is_open: bool = False, **options: object) -> Report:
    """Return what the verifier says of the lines, as a bundle with its end record unless `is_open`.

    Of a bundle the page's verifier must say the same.
    """
    if not is_open:
        return verified_twice([*lines, b"end %d" % (len(lines) + 1)], **options)
    verifier = Verifier(**options)  # pyright: ignore[reportArgumentType]
    for line in lines:
        verifier.feed(line)
    return verifier.finish(is_open=True)


def codes(report: Report) -> set[str]:
    return {each.code for each in report.problems}


def entry_lines(lines: Sequence[bytes]) -> list[int]:
    """Return where the entries are."""
    return [at for at, line in enumerate(lines) if line.startswith(b"entry ")]


def header(run: str = RUN) -> list[bytes]:
    return [FORMAT, b"run " + run.encode()]

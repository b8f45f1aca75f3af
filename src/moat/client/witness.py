"""Submitting the checkpoints of runs to the witnesses of the settings.

A process in the background does it: `python -m moat.client.witness HOME [RUN]`. The run's supervisor
starts it after checkpoints and at the end, so that no witness can slow a run, or reach the process that
holds its credentials. The start of a run starts it, too, for all runs that are queued.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from moat import timestamps
from moat.audit import merkle
from moat.audit.bundle import log_lines
from moat.audit.checkpoint import decoded
from moat.audit.cosignatures import Attempt, Cosignature, Cosignatures
from moat.audit.proofs import Checkpoint, Witness, leaf_hash, read_checkpoint
from moat.audit.submission import CALL, cosignature, known_size, submission
from moat.audit.verifier import CLOSED
from moat.client.connect import spawn
from moat.config import settings
from moat.credentials.obtaining import http
from moat.egress.upstream.own_requests import way
from moat.errors import MoatError, RunNotFoundError
from moat.runs import lock, unwitnessed
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from moat.config.audit import WitnessSetting
    from moat.runs.store import Run

EVERY_S: Final = 3600.0
"""The time between two passes over the queue."""
AT_ONCE: Final = 200
"""Runs of a pass at most."""
_PASS_S: Final = 600.0
"""The time after which a pass begins with no further run."""
PATIENCE_S: Final = 10.0
"""The time that a witness has for an answer."""
NICENESS: Final = 10
_TURN_S: Final = 60.0
"""The time that this process waits for another one that is at the same run."""
_FORGOTTEN_S: Final = 24 * 3600.0
"""The age of the mark of no run: one that is being created has one before it is known."""
_LOCK: Final = "witness.lock"
_OK, _CONFLICT = 200, 409
_REFUSALS: Final = {
    400: "it takes the request for malformed",
    403: "it does not know the key that signs the log",
    404: "it does not know the log",
    422: "it says that the log is not the one that it has seen",
}


class Submitted(NamedTuple):
    """What became of a run's log at one witness."""

    witness: WitnessSetting
    attempt: Attempt


class Submissions(NamedTuple):
    """What became of a run's log at the witnesses."""

    submitted: list[Submitted]
    whole: bool
    """All of them have seen all of it, and nothing will follow."""


class _Log:
    """The signed part of a log, as far as its newest checkpoint."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`, and `ValueError` for a log that does not fit its checkpoint."""
        self.note = ""
        leaves: list[bytes] = []
        entry = b""
        for line in log_lines(path):
            word, _, rest = line.partition(b" ")
            if word == b"entry":
                entry = rest.partition(b"\t")[0]
                leaves.append(leaf_hash(entry))
            elif word == b"checkpoint":
                self.note = decoded(rest)
        self.checkpoint: Checkpoint | None = read_checkpoint(self.note) if self.note else None
        self.size = 0 if self.checkpoint is None else self.checkpoint.size
        self.leaves = leaves[: self.size]
        self.closed = self.size == len(leaves) and b'"kind":"%b"' % CLOSED.encode() in entry
        if self.checkpoint is not None and merkle.root(self.leaves) != self.checkpoint.root:
            raise ValueError("the log is not what its newest checkpoint says")


def submit(
    store: Store, run: Run, witnesses: Iterable[WitnessSetting], dead: Collection[str] = ()
) -> Submissions:
    """Submit the newest checkpoint of a run to each witness that does not have it.

    `dead`: keys of witnesses that are not asked. Raises `MoatError`. What goes wrong at a witness is in
    the result.
    """
    folder = store.folder(run.id)
    stored = Cosignatures.load(folder.cosignatures)
    left = run.ended and not lock.is_locked(folder.supervisor_lock)
    try:
        log = _Log(folder.audit)
    except FileNotFoundError:
        return Submissions([], whole=left)
    except ValueError as exc:
        raise MoatError(f"nothing of {run.name} is submitted: {exc}") from exc
    found: list[Submitted] = []
    for each in witnesses:
        before = stored.attempts.get(each.key, Attempt("", 0))
        is_due = before.size != log.size or before.problem
        if log.size and is_due and each.key not in dead:
            way_to = way(store.spec(run.id).network, each.url)
            stored.attempts[each.key] = _attempt(stored, log, each, before.size, way_to)
            stored.save(folder.cosignatures)
        found.append(Submitted(each, stored.attempts.get(each.key, before)))
    seen = all(each.attempt.size == log.size and not each.attempt.problem for each in found)
    return Submissions(found, whole=seen and (left or log.closed))


def _attempt(
    stored: Cosignatures, log: _Log, setting: WitnessSetting, old: int, way_to: http.Way
) -> Attempt:
    """Submit a checkpoint to a witness that is known to have seen `old` entries."""
    witness = Witness.parse(setting.key)
    known = min(old, log.size)
    try:
        answer = _post(setting.url, log, known, way_to)
        if answer.status == _CONFLICT:
            known = known_size(answer.body)
            if known > log.size:
                raise ValueError(f"it has seen {known} entries, and here are {log.size}")
            answer = _post(setting.url, log, known, way_to)
        if answer.status != _OK:
            words = _REFUSALS.get(answer.status, "it refuses the checkpoint")
            raise ValueError(f"{words} (status {answer.status})")
        line = cosignature(answer.body, log.note, witness)
    except http.UnreachableError as exc:
        return Attempt(timestamps.now(), old, exc.summary, unreachable=True)
    except ValueError as exc:
        return Attempt(timestamps.now(), old, str(exc))
    stored.lines.append(Cosignature(log.size, line))
    return Attempt(timestamps.now(), log.size)


def _post(url: str, log: _Log, old: int, way_to: http.Way) -> http.Answer:
    proof = merkle.consistency(log.leaves, old) if old else []
    body = submission(old, proof, log.note)
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return http.request("POST", f"{url}/{CALL}", headers, body, way=way_to, total=PATIENCE_S)


def run_once(
    home: Path, run_id: str, witnesses: Iterable[WitnessSetting], dead: Collection[str] = ()
) -> list[Submitted]:
    """Submit for a queued run, and take it off the queue once the witnesses have seen all of it.

    Another process may be at it: then this one waits, and finds less to do. Raises `MoatError`.
    """
    path = unwitnessed.mark_path(home, run_id)
    if not path.exists():
        return []
    try:
        with lock.locked(path, _TURN_S), Store(home) as store:
            done = submit(store, store.get(run_id), witnesses, dead)
            os.utime(path)  # the next turn is that of the others
            if done.whole:
                path.unlink(missing_ok=True)
            return done.submitted
    except TimeoutError:
        return []  # the other one has just asked them
    except OSError as exc:
        raise MoatError(f"nothing is submitted: {exc.strerror}", str(exc.filename)) from exc


def run_pass(home: Path, witnesses: Iterable[WitnessSetting]) -> None:
    """Submit for the runs of the queue. A witness that can't be reached is left out of the rest."""
    held = lock.try_lock(home / _LOCK)
    if held is None:
        return
    try:
        os.utime(held)
        dead: set[str] = set()
        asked, end = list(witnesses), time.monotonic() + _PASS_S
        for run_id in unwitnessed.queued(home)[:AT_ONCE]:
            if time.monotonic() > end:
                break
            try:
                found = run_once(home, run_id, asked, dead)
            except RunNotFoundError:
                _forget(unwitnessed.mark_path(home, run_id))
                continue
            except MoatError:
                continue  # of this run: `moat audit witness` says what
            dead |= {each.witness.key for each in found if each.attempt.unreachable}
    finally:
        os.close(held)


def _forget(path: Path) -> None:
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
            path.unlink()


def start_if_due(home: Path) -> None:
    """Start a pass in the background, unless there was one within the hour, or nothing is queued."""
    path = home / _LOCK
    if not unwitnessed.queued(home):
        return
    # A time in the future was written while the clock was wrong.
    if path.exists() and abs(time.time() - path.stat().st_mtime) < EVERY_S:
        return
    with open(os.devnull, "wb") as null:  # noqa: PTH123  no path of a user's
        spawn.start(
            (__name__, str(home)), spawn.environment(str(home)), (null.fileno(), null.fileno())
        )


def main(home: Path, runs: list[str]) -> None:
    witnesses = settings.load(home).witnesses
    if not runs:
        run_pass(home, witnesses)
    for run_id in runs:
        run_once(home, run_id, witnesses)


if __name__ == "__main__":
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(MoatError):  # `moat audit witness` shows it to the user
        main(Path(sys.argv[1]), sys.argv[2:])

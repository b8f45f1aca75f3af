"""The audit logs of this store's runs, with what lies beside them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moat.cli.audit_verify import witnesses_of_settings
from moat.errors import MoatError

if TYPE_CHECKING:
    from pathlib import Path

    from moat.audit.report import Report
    from moat.paths import RunFolder
    from moat.runs.store import Run, Store

_MOST_ROWS: Final = 1_000_000
"""Rows of the traffic record to which one entry commits: it has those of a second or two."""
_LEAVE_S: Final = 10.0
"""A run that has just ended closes its log within this time."""


def verify_own(store: Store, run: Run) -> Report:
    """Verify the log of a run in this store, with the files beside it and its newest checkpoint."""
    from moat.audit.bundle import bundle  # noqa: PLC0415  loads slowly
    from moat.audit.report import UnreadableError  # noqa: PLC0415
    from moat.audit.run_log import head_path  # noqa: PLC0415
    from moat.audit.signing_key import SigningKeys  # noqa: PLC0415
    from moat.audit.verifier import Verifier  # noqa: PLC0415

    folder = store.folder(run.id)
    wait_for_end(store, run)
    head = head_path(store.home, run.id)
    known = SigningKeys(store.home).known()
    own = {each.public for each in known}
    try:
        verifier = Verifier(
            () if run.imported_at else own,  # another installation may have signed that
            {each.public for each in known if each.revoked},
            [head.read_text()] if head.exists() else [],
            witnesses_of_settings(store.home),
        )
        # The end record is left out: what is missing behind a running run's log is no sign of anything.
        requests = RequestTexts(folder.database)
        for line in bundle(folder, requests, without=left_out(folder)):
            if not line.startswith(b"end "):
                verifier.feed(line)
        report = verifier.finish(is_open=True)
    except FileNotFoundError:
        raise no_log(run) from None
    except (UnreadableError, UnicodeDecodeError) as exc:
        raise MoatError(f"the audit log of {run.name} can't be verified: {exc}") from exc
    report.trusted = bool(report.keys) and own.issuperset(report.keys)
    return report


def left_out(folder: RunFolder) -> tuple[str, ...]:
    """Return the files of an imported run that were masked: they aren't what its log commits to."""
    from moat.runs import imported  # noqa: PLC0415  as above

    try:
        mark = imported.read(folder)
    except (OSError, ValueError) as exc:
        raise MoatError(f"the mark of an imported run can't be read: {exc}") from exc
    return ("spec.json",) if mark is not None and mark.masked else ()


def wait_for_end(store: Store, run: Run) -> None:
    """Wait for the supervisor of a run that has ended: it closes the log last."""
    if run.ended:
        from moat.runs import lock  # noqa: PLC0415  for this alone

        with suppress(FileNotFoundError, TimeoutError):
            lock.wait_until_free(store.folder(run.id).supervisor_lock, _LEAVE_S)


class RequestTexts:
    """The rows of a traffic record, as the log commits to them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, ranges: list[list[int]]) -> bytes | None:
        from moat.audit.requests import ids_of, text_of  # noqa: PLC0415  as above
        from moat.egress.traffic.reader import Filter, TrafficReader  # noqa: PLC0415

        if sum(last - first + 1 for first, last in ranges) > _MOST_ROWS:
            return None  # no supervisor has written that
        ids = list(ids_of(ranges))
        with TrafficReader(self._path) as reader:
            rows = {row.id: tuple(row) for row in reader.rows_with(ids, Filter(), 0.0)}
        if len(rows) < len(ids):
            return None  # some were dropped to make room, and another entry says so
        return b"[" + text_of([rows[each] for each in ids]) + b"]"


def no_log(run: Run) -> MoatError:
    return MoatError(
        f"{run.name} has no audit log", "It has not begun yet, or an earlier version of Moat ran it"
    )
